"""The data sets: each published layout made small, one grey level a label; what is refused; balance and subsets."""

import csv
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.errors import EnvironmentInvalid, InputRejected, UsageError
from edgefer.faces import Face
from edgefer.spec import FERPLUS_LABELS
from train.data import FaceSet, affectnet, balance, caers, fer2013, ferplus, layout, without
from train.data.datasets import DATASETS, DataSet, get
from train.data.subsets import subset

LEVEL = {label: 20 + 28 * i for i, label in enumerate(FERPLUS_LABELS)}
"""Grey level of the pictures that show an expression."""
FOLDER_WORDS = {
    "Angry": "anger",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happy": "happiness",
    "Neutral": "neutral",
    "Sad": "sadness",
    "Surprise": "surprise",
}
RAFDB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
AFFECTNET = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
FER2013 = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def paint(file: Path, label: str, width: int = 60, height: int = 60) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), np.full((height, width, 3), LEVEL[label], np.uint8))


def by_expression(folder: Path, words: dict[str, str], ending: str = "png", **size) -> None:
    for word, label in words.items():
        paint(folder / word / f"0001.{ending}", label, **size)


def make_ferplus(root: Path) -> None:
    for folder in ferplus.FOLDERS.values():
        (root / folder).mkdir()
        with (root / folder / "label.csv").open("w", newline="") as file:
            for i, label in enumerate(FERPLUS_LABELS):
                paint(root / folder / f"fer{i:07}.png", label, 48, 48)
                csv.writer(file).writerow([f"fer{i:07}.png", "(0, 0, 48, 48)", *np.eye(10, dtype=int)[i] * 10])


def make_fer2013(root: Path) -> None:
    lines = ["emotion,pixels,Usage"]
    for usage in fer2013.USAGES.values():
        lines += [f"{i},{' '.join([str(LEVEL[label])] * 48 * 48)},{usage}" for i, label in enumerate(FER2013)]
    (root / "fer2013.csv").write_text("\n".join(lines) + "\n")


def make_rafdb(root: Path) -> None:
    lines = []
    for split in ("train", "test"):
        for number, label in enumerate(RAFDB, start=1):
            paint(root / "basic/Image/aligned" / f"{split}_{number:05}_aligned.jpg", label, 100, 100)
            lines.append(f"{split}_{number:05}.jpg {number}")
    (root / "basic/EmoLabel").mkdir()
    (root / "basic/EmoLabel/list_patition_label.txt").write_text("\n".join(lines) + "\n")


def make_affectnet(root: Path) -> None:
    """The first layout: the face is a square of its label's level on white, row 8 to 10 are no expression."""
    for table in affectnet.TABLES.values():
        with (root / table).open("w", newline="") as file:
            write = csv.writer(file).writerow
            write(["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "landmarks", "expression"])
            for number in range(11):
                name = f"{number}/{table[:5]}{number}.jpg"
                scene = np.full((80, 120, 3), 255, np.uint8)
                scene[16:64, 32:80] = LEVEL[AFFECTNET[number % 8]]
                path = root / "Manually_Annotated_Images" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), scene)
                write(
                    [name, 32, 16, 48, 48, "1;2;3;4", number, 0.1, 0.2] if number < 8 else [name, *["NULL"] * 5, number]
                )


def make_affectnet_later(root: Path) -> None:
    for folder in affectnet.SETS.values():
        (root / folder / "annotations").mkdir(parents=True)
        for number, label in enumerate(AFFECTNET):
            paint(root / folder / "images" / f"{number + 5}.jpg", label, 224, 224)
            np.save(root / folder / "annotations" / f"{number + 5}_exp.npy", np.array(str(number)))


def make_caers(root: Path) -> None:
    words = {"Anger" if word == "Angry" else word: label for word, label in FOLDER_WORDS.items()}
    for split in ("train", "test"):
        by_expression(root / "CAER-S" / split, words, width=72, height=40)


def make_sfew(root: Path) -> None:
    for folder in ("Train/Train_Aligned_Faces", "Val/Val_Aligned_Faces_new"):
        by_expression(root / "SFEW" / folder, FOLDER_WORDS, width=143, height=181)


def make_fedro(root: Path) -> None:
    words = {word.lower().replace("neutral", "neural"): label for word, label in FOLDER_WORDS.items()}
    by_expression(root / "FED-RO/FED-RO_crop", words, "jpg")


def make_folder(root: Path) -> None:
    for split in ("train", "val", "test"):
        by_expression(root / split, {**FOLDER_WORDS, "contempt": "contempt"}, width=80, height=60)


MAKERS = {
    "ferplus": make_ferplus,
    "ferplus7": make_ferplus,
    "fer2013": make_fer2013,
    "rafdb": make_rafdb,
    "affectnet7": make_affectnet,
    "affectnet8": make_affectnet_later,
    "caers": make_caers,
    "sfew": make_sfew,
    "fedro": make_fedro,
    "folder7": make_folder,
    "folder8": make_folder,
}
"""Data set → what writes its layout into a folder, every class once a split."""
WITH_SPLITS = [(name, split) for name in MAKERS for split in DATASETS[name].splits]


def assert_levels(faces: FaceSet) -> None:
    """Every picture shows the grey level of the label it came with."""
    expected = [LEVEL[faces.classes[label]] for label in faces.labels]
    assert faces.images.reshape(len(faces), -1).mean(1) == pytest.approx(expected, abs=1.5)
    assert faces.distributions.argmax(1).tolist() == faces.labels.tolist()
    assert faces.distributions.sum(1) == pytest.approx(1)


def some_faces(labels, names=None, classes=FERPLUS_LABELS) -> FaceSet:
    labels = np.array(labels)
    shares = np.eye(len(classes), dtype=np.float32)[labels] * (labels >= 0)[:, None]
    names = names or tuple(f"{i}.png" for i in range(len(labels)))
    return FaceSet(np.zeros((len(labels), 4, 4), np.uint8), shares, labels, tuple(names), "made up", classes)


def test_every_data_set_is_made_here():
    assert set(MAKERS) == set(DATASETS) - {"synthetic"}
    for entry in DATASETS.values():
        assert all(getattr(entry, field.name) for field in fields(DataSet))
        assert entry.labels in (FERPLUS_LABELS, FERPLUS_LABELS[:7])
        assert entry.reported in entry.splits
    with pytest.raises(UsageError, match=r"unknown data set 'ckplus'.*rafdb"):
        get("ckplus")


@pytest.mark.parametrize(("name", "split"), WITH_SPLITS, ids=lambda value: value)
def test_labels_are_mapped_picture_by_picture(name, split, tmp_path):
    MAKERS[name](tmp_path)
    entry = get(name)
    faces = entry.load(split, tmp_path, side=32)
    assert faces.classes == entry.labels
    assert sorted(faces.labels.tolist()) == list(range(len(entry.labels)))
    gray = name in ("ferplus", "ferplus7", "fer2013")
    assert faces.images.shape == (len(entry.labels), *((48, 48) if gray else (32, 32, 3)))
    assert faces.images.dtype == np.uint8
    assert len(set(faces.names)) == len(faces)
    assert entry.title in faces.source or name.startswith("folder")
    assert_levels(faces)


@pytest.mark.parametrize("name", MAKERS)
def test_found_below_the_variables_folder(name, tmp_path, monkeypatch):
    at_the_top = name in (
        "caers",
        "sfew",
        "fedro",
        "folder7",
        "folder8",
    )  # the former three lie in a folder of their own
    place = tmp_path if at_the_top else tmp_path / "copy"
    place.mkdir(exist_ok=True)
    MAKERS[name](place)
    monkeypatch.setenv("EDGEFER_DATA", str(tmp_path))
    assert DATASETS[name].find(None) is not None
    assert len(DATASETS[name].load(DATASETS[name].splits[0])) >= 7


@pytest.mark.parametrize("name", MAKERS)
def test_absent_data_says_what_is_expected(name, tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    entry = DATASETS[name]
    assert entry.find(None) is None
    for data in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            EnvironmentInvalid, match=r"was not found.*set EDGEFER_DATA, or give --data, a folder"
        ) as error:
            entry.load(entry.splits[0], data)
        assert entry.where in str(error.value)
        assert str(data or "") in str(error.value)
    with pytest.raises(UsageError, match="unknown split 'dev'"):
        entry.load("dev", tmp_path)


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"fer2013"}))
def test_a_damaged_picture_is_named(name, tmp_path):
    MAKERS[name](tmp_path)
    split = DATASETS[name].splits[-1]
    pictures = [file for file in tmp_path.rglob("*") if layout.is_picture(file)]
    assert pictures
    for file in pictures:
        file.write_bytes(b"not a picture")
    with pytest.raises(InputRejected, match=r"\.(png|jpg) is not a readable"):
        DATASETS[name].load(split, tmp_path)
    if name in ("rafdb", "affectnet7"):
        for file in pictures:
            file.unlink()
        with pytest.raises(InputRejected, match=r"\.jpg cannot be read"):
            DATASETS[name].load(split, tmp_path)


def keep_test_lines_only(file: Path, word: str) -> None:
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if word not in line) + "\n")


@pytest.mark.parametrize(
    ("name", "split", "remove"),
    [
        ("fer2013", "test", lambda p: keep_test_lines_only(p / "fer2013.csv", "PrivateTest")),
        ("rafdb", "train", lambda p: keep_test_lines_only(p / "basic/EmoLabel/list_patition_label.txt", "train")),
        ("affectnet7", "valid", lambda p: (p / "validation.csv").unlink()),
        ("affectnet8", "train", lambda p: (p / "train_set").rename(p / "elsewhere")),
        ("caers", "test", lambda p: (p / "CAER-S/test").rename(p / "elsewhere")),
        ("sfew", "valid", lambda p: (p / "SFEW/Val").rename(p / "elsewhere")),
        ("folder7", "test", lambda p: (p / "test").rename(p / "elsewhere")),
    ],
)
def test_a_missing_split_is_not_another_one(name, split, remove, tmp_path):
    MAKERS[name](tmp_path)
    remove(tmp_path)
    with pytest.raises(EnvironmentInvalid, match=f"{split} split is not"):
        DATASETS[name].load(split, tmp_path)
    other = next(s for s in DATASETS[name].splits if s != split)
    assert_levels(DATASETS[name].load(other, tmp_path))


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "split", "damage", "message"),
    [
        (
            "fer2013",
            "train",
            lambda p: rewrite(p / "fer2013.csv", " 132 ", " "),
            r"csv: line \d+ is not a face of 48×48",
        ),
        (
            "fer2013",
            "train",
            lambda p: rewrite(p / "fer2013.csv", " 132 ", " 256 "),
            r"line \d+ is not a face of 48×48",
        ),
        ("fer2013", "train", lambda p: rewrite(p / "fer2013.csv", "0,", "7,"), r"line 2 is not labelled from 0 to 6"),
        ("fer2013", "train", lambda p: rewrite(p / "fer2013.csv", "Usage", "use"), r"line 1 is not a header with"),
        ("fer2013", "train", lambda p: rewrite(p / "fer2013.csv", "Training", "Train"), r"line 2 is not for Training"),
        ("fer2013", "train", lambda p: rewrite(p / "fer2013.csv", ",Training", ""), r"line 2 is not of 3 columns"),
        (
            "rafdb",
            "test",
            lambda p: rewrite(p / "basic/EmoLabel/list_patition_label.txt", ".jpg 2", ".jpg 8"),
            r"list_patition_label\.txt: line 2 is not an image name and a label",
        ),
        (
            "rafdb",
            "test",
            lambda p: (p / "basic/EmoLabel/list_patition_label.txt").write_bytes(b"\xff\xfe\x00"),
            r"list_patition_label\.txt cannot be read as text",
        ),
        (
            "affectnet7",
            "train",
            lambda p: rewrite(p / "training.csv", ",48,48,", ",48,"),
            r"training\.csv: line 2 is not",
        ),
        (
            "affectnet7",
            "train",
            lambda p: rewrite(p / "training.csv", ",32,16", ",900,16"),
            r"0\.jpg: the face box \(900",
        ),
        (
            "affectnet8",
            "train",
            lambda p: (p / "train_set/annotations/7_exp.npy").write_bytes(b""),
            r"7_exp\.npy does not hold an expression",
        ),
        (
            "affectnet8",
            "train",
            lambda p: np.save(p / "train_set/annotations/7_exp.npy", {"expression": 1}, allow_pickle=True),
            r"7_exp\.npy does not hold an expression",
        ),
        (
            "affectnet8",
            "train",
            lambda p: (p / "train_set/annotations/8_exp.npy").unlink(),
            r"8_exp\.npy does not hold",
        ),
        ("caers", "train", lambda p: (p / "CAER-S/train/Fear").rename(p / "Fear"), "has no folder for fear"),
        ("sfew", "train", lambda p: (p / "SFEW/Train/Train_Aligned_Faces/Odd").mkdir(), "Odd names no expression"),
        ("folder7", "train", lambda p: (p / "train/Fear").rename(p / "train/bored"), "bored names no expression"),
    ],
)
def test_damage_is_refused_with_the_files_name(name, split, damage, message, tmp_path):
    MAKERS[name](tmp_path)
    damage(tmp_path)
    with pytest.raises(InputRejected, match=message):
        DATASETS[name].load(split, tmp_path)


def test_fer2013_of_the_competitions_second_file(tmp_path):
    make_fer2013(tmp_path)
    rows = list(csv.reader((tmp_path / "fer2013.csv").open()))[1:]
    (tmp_path / "fer2013.csv").unlink()
    lines = ["emotion, Usage, pixels", *(f"{emotion},{usage},{pixels}" for emotion, pixels, usage in rows)]
    (tmp_path / "icml_face_data.csv").write_text("\n".join(lines) + "\n")
    faces = fer2013.load("valid", tmp_path)
    assert_levels(faces)
    assert faces.names[0] == "PublicTest-00009"
    assert fer2013.find(tmp_path / "icml_face_data.csv") == tmp_path / "icml_face_data.csv"


def test_fer2013_labels_beside_ferplus_leave_blank_rows_out(tiny_ferplus):
    words = ["angry", "", "fear", "happy"]
    lines = [f"fer{i:07}.png,{words[i % 4]}" for i in range(24)]
    (tiny_ferplus / "fer2013-labels-valid.csv").write_text("\n".join(["image,expression", *lines]) + "\n")
    faces = fer2013.load("valid", tiny_ferplus)
    assert faces.names[:4] == ("fer0000000.png", "fer0000002.png", "fer0000003.png", "fer0000004.png")
    assert [faces.classes[label] for label in faces.labels[:4]] == ["anger", "fear", "happiness", "anger"]
    assert np.array_equal(faces.images[1], ferplus.load("valid", tiny_ferplus).images[2])
    with pytest.raises(EnvironmentInvalid, match="train split is not"):
        fer2013.load("train", tiny_ferplus)
    rewrite(tiny_ferplus / "fer2013-labels-valid.csv", "fear", "bored")
    with pytest.raises(InputRejected, match=r"fer2013-labels-valid\.csv: line 4 is not labelled"):
        fer2013.load("valid", tiny_ferplus)


def test_fer2013_labels_match_the_real_images(ferplus_data):
    if fer2013.find(ferplus_data) is None:
        pytest.skip("the original labels of FER2013 are not here")
    faces, crowd = fer2013.load("valid"), ferplus.load("valid")
    assert len(faces) >= 0.99 * len(crowd)
    by_name = dict(zip(crowd.names, crowd.labels, strict=True))
    pairs = [
        (label, by_name[name]) for name, label in zip(faces.names, faces.labels, strict=True) if by_name[name] >= 0
    ]
    assert np.mean([original == voted for original, voted in pairs]) > 0.65
    names = {
        row[0] for row in csv.reader((Path(fer2013.find(ferplus_data)) / "fer2013-labels-train.csv").open()) if row[1]
    }
    with ferplus._reader(ferplus.find(ferplus_data)) as read:
        table = read("FER2013Train/label.csv").decode().splitlines()
    train = [line.split(",")[0] for line in table if not line.startswith(",")]
    assert sum(name in names for name in train) >= 0.99 * len(train)


def test_seven_class_view_of_the_real_ferplus(ferplus_data):
    faces = DATASETS["ferplus7"].load("valid").evaluated
    assert len(faces) == 3_175
    assert np.bincount(faces.labels).tolist() == [1180, 862, 411, 348, 289, 25, 60]
    assert faces.distributions.shape == (3_175, 7)
    assert faces.distributions.sum(1) == pytest.approx(1, abs=1e-5)


def test_without_a_class():
    faces = some_faces([0, 7, 6, -1, -1])
    faces.distributions[0] = [0.5, 0.25, 0, 0, 0, 0, 0, 0.25]
    faces.distributions[4, 7] = 1
    seven = without(faces, "contempt")
    assert seven.classes == FERPLUS_LABELS[:7]
    assert seven.names == ("0.png", "2.png", "3.png", "4.png")
    assert seven.labels.tolist() == [0, 6, -1, -1]
    assert seven.distributions[0] == pytest.approx([2 / 3, 1 / 3, 0, 0, 0, 0, 0])
    assert not seven.distributions[2:].any()
    fewer = without(seven, "surprise")
    assert fewer.labels.tolist() == [0, 5, -1, -1]
    with pytest.raises(UsageError, match="unknown class 'contempt'"):
        without(seven, "contempt")


def test_face_sets_of_other_classes_or_sizes_are_not_joined():
    seven, eight = some_faces([0, 1], classes=layout.SEVEN), some_faces([2])
    assert (seven + seven).classes == layout.SEVEN
    assert seven[[1]].classes == layout.SEVEN
    with pytest.raises(UsageError, match="their classes differ"):
        seven + eight
    large = FaceSet(np.zeros((1, 8, 8), np.uint8), eight.distributions, eight.labels, eight.names, "large")
    with pytest.raises(UsageError, match="same side and channels"):
        eight + large


def test_affectnet_with_its_lists_in_their_own_folder_and_no_header(tmp_path):
    make_affectnet(tmp_path)
    lists = tmp_path / "Manually_Annotated_file_lists"
    lists.mkdir()
    for table in affectnet.TABLES.values():
        text = (tmp_path / table).read_text().split("\n", 1)[1]
        (tmp_path / table).unlink()
        (lists / table).write_text(text)
    faces = affectnet.load_eight("train", tmp_path, 24)
    assert faces.names[:2] == ("0/train0.jpg", "1/train1.jpg")
    assert_levels(faces)
    assert len(affectnet.load("train", tmp_path, 24)) == 7


def test_affectnets_later_images_are_in_the_order_of_their_numbers(tmp_path):
    make_affectnet_later(tmp_path)
    names = affectnet.load_eight("valid", tmp_path, 16).names
    assert names == tuple(f"{number}.jpg" for number in range(5, 13))


def test_square_neither_stretches_nor_cuts_the_box():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = 200
    assert (layout.square(image, 16) == 200).all()
    image[10:30, 60:80] = 90
    assert (layout.square(image, 10, (60, 10, 20, 20)) == 90).all()
    beyond = layout.square(image, 20, (70, 10, 20, 20))
    assert (beyond == 90).all()
    assert layout.square(image, 40, (0, 0, 10, 40)).shape == (40, 40, 3)


class Finder:
    """Finds a face in bright scenes only."""

    name = "yunet"

    def detect(self, frame):
        points = np.array([[24, 16], [44, 16], [34, 24], [26, 30], [42, 30]], np.float32)
        return [Face((20.0, 8.0, 28.0, 28.0), 0.9, self.name, points)] if frame.mean() > 60 else []


def test_caers_scenes_and_faces(tmp_path):
    make_caers(tmp_path)
    scenes = caers.load("test", tmp_path, 24)
    assert "whole scenes" in scenes.source
    faces = caers.load("test", tmp_path, 24, Finder())
    assert faces.images.shape == (5, 24, 24, 3)
    assert "faces by yunet in 5 of 7 frames" in faces.source
    assert_levels(faces)
    assert {faces.classes[label] for label in faces.labels} == set(layout.SEVEN) - {"neutral", "happiness"}


def test_faces_of_ones_own_without_splits(program, tmp_path):
    own = tmp_path / "faces"
    for i in range(40):
        paint(own / "Happy" / f"{i}.png", "happiness", 24, 24)
        paint(own / "sad" / f"{i}.jpg", "sadness", 24, 24)
    (own / ".cache").mkdir()
    train, valid = (DATASETS["folder7"].load(split, own, 24) for split in ("train", "valid"))
    assert len(train) + len(valid) == 80
    assert not set(train.names) & set(valid.names)
    assert 0 < len(valid) < 20
    assert_levels(train)
    with pytest.raises(EnvironmentInvalid, match="test split is not"):
        DATASETS["folder7"].load("test", own)
    train = ("train", "--recipe", "microexpnet", "--data", own, "--out", tmp_path / "run", "--set", "data=folder7")
    done = program(*train, "--set", "epochs=1", "--set", "balance=weighted")
    assert done.returncode == 0, done.stderr
    for folder in ("Happy", "sad"):
        for picture in sorted((own / folder).iterdir())[3:]:
            picture.unlink()
    done = program(*train, "--set", "epochs=2", "--out", tmp_path / "few")
    assert done.returncode == 6 and "none are left to train or be judged on" in done.stderr


def test_oversampled_sees_every_row_and_every_class_alike():
    faces = some_faces([0] * 7 + [3] * 2 + [6] * 3 + [-1] * 2)
    rows = balance.oversampled(faces, seed=1)
    labels = faces.labels[rows]
    assert {label: int((labels == label).sum()) for label in (0, 3, 6, -1)} == {0: 7, 3: 7, 6: 7, -1: 2}
    counts = np.bincount(rows, minlength=len(faces))
    assert (counts[:7] == 1).all()
    assert sorted(counts[7:9]) == [3, 4]
    assert sorted(counts[9:12]) == [2, 2, 3]
    assert np.array_equal(rows, balance.oversampled(faces, seed=1))
    assert any(not np.array_equal(rows, balance.oversampled(faces, seed)) for seed in range(2, 8))


def test_class_weights_are_inverse_frequencies_with_mean_one():
    faces = some_faces([0] * 6 + [2] * 2 + [-1] * 5)
    weights = balance.class_weights(faces)
    assert weights.dtype == np.float32
    assert weights.tolist() == pytest.approx([8 / (2 * 6), 0, 8 / (2 * 2), 0, 0, 0, 0, 0])
    assert weights[faces.labels[faces.labels >= 0]].mean() == pytest.approx(1)
    assert not balance.class_weights(some_faces([-1])).any()


def test_subset_lists_as_they_are_published(small_ferplus, tmp_path):
    faces = ferplus.load("valid", small_ferplus)
    listing = tmp_path / "pose.txt"
    listing.write_text("5/fer0000003.png\nfer0000004.jpg 2\nfer0000005,1\n\nsomebody_else.png\n")
    assert subset(faces, listing).names == ("fer0000003.png", "fer0000004.png", "fer0000005.png")
    listing.write_text("nobody.png\n")
    with pytest.raises(InputRejected, match="names none of the 24 faces"):
        subset(faces, listing)
    with pytest.raises(InputRejected, match="cannot be read"):
        subset(faces, tmp_path / "absent.txt")
    listing.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(InputRejected, match="is not a text file"):
        subset(faces, listing)


FORMS = {
    "AffectNet, occlusion": ("val/0/bc9ad400/\r\nval/6/{}/\r\n", "103/{}.jpg", "be3f8e878d3cde"),
    "AffectNet, pose": ("0/83dac9d7.jpg\n7/{}.jpg\n", "12/{}.JPG", "40e3adfe27"),
    "FER+, occlusion": ("1_fer0034656.png 8 0\n0_{}.png 8 2\n", "{}.png", "fer0033878"),
    "FER+, pose": ("0/fer0032226.jpg\n1/{}.jpg", "{}.png", "fer0032227"),
    "RAF-DB, occlusion": ("test_0003_aligned 3 4\n\n{}_aligned 4 3\n{}_aligned 4 3\n", "{}.jpg", "test_0006"),
    "RAF-DB, pose": ("0/test_0004_aligned.jpg\n4/{}_aligned.jpg", "{}.jpg", "test_0006"),
    "Windows": ("D:\\lists\\3\\{}.png\n", "{}.png", "fer0032227"),
    "the label before": ("4 {}.png\n", "{}.png", "fer0032227"),
    "a name with spaces": ("sad/{}.jpg\n", "sad/{}.jpg", "face 2 of 12"),
    "names that are numbers": ("{}.jpg 1\n", "{}.jpg", "7"),
    "a byte order mark": ("\ufeff{}.jpg\n", "{}.jpg", "test_0006"),
}


@pytest.mark.parametrize(("text", "name", "key"), FORMS.values(), ids=FORMS)
def test_subset_forms(text, name, key, tmp_path):
    faces = some_faces([0, 1, 2], names=[name.format("1"), name.format(key), name.format("4")])
    listing = tmp_path / "list.txt"
    listing.write_text(text.replace("{}", key), newline="")
    assert subset(faces, listing).names == (name.format(key),)


def test_subset_needs_the_folder_where_names_repeat(tmp_path):
    faces = some_faces([4, 5, 6], names=["Anger/0001.png", "Disgust/0001.png", "Fear/0002.png"])
    listing = tmp_path / "list.txt"
    listing.write_text("Disgust/0001.png\n0002.png\n")
    assert subset(faces, listing).names == ("Disgust/0001.png", "Fear/0002.png")
    listing.write_text("0001.png 3\n")
    with pytest.raises(InputRejected, match=r"'0001\.png 3' may be any of Anger/0001\.png, Disgust/0001\.png"):
        subset(faces, listing)
