// Where pictures come from: the camera, a dropped video, a dropped image. Gives frames as bytes; keeps and sends none.

const MOST = 640; // the longer side of a moving frame that is looked at: a phone's camera gives many more pixels than a face needs
export const MOST_STILL = 4096; // of a picture: more, and some phones have no canvas for it

/** A sentence for each way a camera fails. */
const CAMERA = {
  NotAllowedError:
    "The camera was refused. Allow it for this page (the icon beside the address, then Camera), and press Start camera again.",
  NotFoundError: "No camera was found: connect one, or open a picture or a video.",
  NotReadableError: "The camera is in use elsewhere: close the other program and press Start camera again.",
};

/**
 * @param {() => boolean} current whether the camera is still wanted when the browser has asked for it
 * @param {(error: Error) => void} lost told when the camera goes away by itself: unplugged, or taken by another program
 * @returns {Promise<boolean>} whether it faces the person, who then expects a mirror
 */
export async function openCamera(video, facing, current, lost) {
  if (!navigator.mediaDevices) throw new Error("This browser gives no camera to this address: open it at https:// or on localhost.");
  try {
    const wanted = { facingMode: facing, width: { ideal: 640 }, height: { ideal: 480 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    const [track] = stream.getVideoTracks();
    if (!current()) return track.stop();
    video.srcObject = stream;
    await video.play();
    track.onended = () => lost(new Error("The camera went away: connect it again, or close what took it, and press Start camera."));
    return track.getSettings().facingMode !== "environment";
  } catch (error) {
    throw new Error(CAMERA[error.name] ?? `The camera cannot be opened (${error.message}): reload the page, or open a picture or a video.`);
  }
}

export async function openVideo(video, file) {
  video.src = URL.createObjectURL(file);
  video.loop = true;
  try {
    await video.play();
  } catch {
    throw new Error(`${file.name} is no video that this browser can play.`);
  }
}

export async function openImage(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is no picture that this browser can read.`);
  }
}

/** Let the camera or file go. */
export function close(video) {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
}

const canvas = new OffscreenCanvas(1, 1);
const pen = canvas.getContext("2d", { willReadFrequently: true });

/** @returns {{data: Uint8ClampedArray, width, height, channels: 4}} of an image or video as it is now; most: of its longer side */
export function grab(source, most = MOST) {
  const [wide, tall] = [source.videoWidth ?? source.width, source.videoHeight ?? source.height];
  const scale = Math.min(1, most / Math.max(wide, tall));
  const [width, height] = [wide, tall].map((side) => Math.max(1, Math.round(side * scale)));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  Object.assign(pen, { globalCompositeOperation: "copy", imageSmoothingQuality: "high" }); // nothing of the last frame shines through
  pen.drawImage(source, 0, 0, width, height);
  return { data: pen.getImageData(0, 0, width, height).data, width, height, channels: 4 };
}

/** The picture that was grabbed last. */
export const grabbed = () => canvas;

/** Resolves when a video has a new frame. */
export function nextFrame(video) {
  const wait = video.requestVideoFrameCallback ? (done) => video.requestVideoFrameCallback(done) : requestAnimationFrame;
  return new Promise((resolve) => wait(resolve));
}
