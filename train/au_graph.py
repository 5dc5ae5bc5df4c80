"""Learning over the Action-Unit graph: faces that move the same muscles should be given similar expressions.

Source: paper 003, Section 3.2, Equations 3–5: L = LDL + λ Ω, where Ω adds up how far the network's answer for a face is from
its answers for the face's neighbours in Action-Unit space. The paper names no K, σ or λ, and found a loss of accuracy of about
one point on RAF-DB and 0.6 on FER+: an experiment to repeat, not a default.

``python -m train.au_graph`` draws the Action-Unit space as a t-SNE picture coloured by label (Figure 9).
"""

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgefer.errors import InputRejected, UsageError, exit_with
from edgefer.files import new_binary
from edgefer.spec import FERPLUS_LABELS
from train.data import action_units, ferplus, synthetic

LINKS, BUILD_EFFORT, SEARCH_EFFORT = 32, 200, 128
"""Of the HNSW index: links a vector, candidates while building and while searching. In 17 dimensions it then misses fewer than
one true neighbour in a hundred."""


@dataclass(frozen=True)
class Options:
    """Choices of the term; the paper gives none of them."""

    neighbours: int = 8
    """K: nearest faces that each face is compared with."""
    sigma: float = 1.0
    """σ: a neighbour at distance d weighs exp(−d / σ²), d in units of the vectors (OpenFace: 0 to 5 an Action Unit)."""
    factor: float = 0.1
    """λ: what the term is multiplied with before it is added to the loss."""

    def __post_init__(self):
        if self.neighbours < 1 or self.sigma <= 0 or self.factor < 0:
            raise UsageError(
                f"the Action-Unit graph needs neighbours ≥ 1, sigma > 0 and factor ≥ 0, not {self.neighbours}, "
                f"{self.sigma} and {self.factor}"
            )


@dataclass(frozen=True)
class Graph:
    """The neighbours of every face in Action-Unit space, found once (paper, Equation 5)."""

    rows: Tensor
    """int64 (N, K): nearest first. Where a face has fewer than K, its own row, at weight 0."""
    weights: Tensor
    """float32 (N, K): a_ij from 0 to 1; all 0 for a face without a vector."""

    def __len__(self) -> int:
        return len(self.rows)

    def neighbours(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Neighbours int64 (B, K) and their weights float32 (B, K) of faces (B,), on the device of ``rows``."""
        rows = torch.as_tensor(rows)
        return tuple(table[rows.to(table.device)].to(rows.device) for table in (self.rows, self.weights))


def build(vectors: np.ndarray, options: Options = Options()) -> Graph:
    """The graph of Action-Unit vectors float32 (N, units), by an approximate index (HNSW) and Euclidean distance.

    Rows with a NaN are faces without a vector: they have no neighbours and are nobody's. The same vectors give the same graph.

    Raises:
        InputRejected: no more faces with a vector than neighbours asked for.
    """
    known = np.flatnonzero(np.isfinite(vectors).all(1))
    if len(known) <= options.neighbours:
        raise InputRejected(
            f"{len(known)} faces have Action Units, which is too few for {options.neighbours} neighbours each; "
            "ask for fewer or give the vectors of more faces"
        )
    distances, found = _search(np.ascontiguousarray(vectors[known], np.float32), options.neighbours)
    rows = np.tile(np.arange(len(vectors))[:, None], (1, options.neighbours))
    weights = np.zeros(rows.shape, np.float32)
    rows[known] = np.where(found >= 0, known[found], known[:, None])
    weights[known] = np.where(found >= 0, np.exp(-distances / options.sigma**2), 0)
    return Graph(torch.from_numpy(rows), torch.from_numpy(weights))


def neighbour_term(logits: Tensor, neighbour_logits: Tensor, weights: Tensor) -> Tensor:
    """Ω of a batch (paper, Equation 4): Σ_j a_ij KL(f(x_j) ‖ f(x_i)) over the neighbours j, averaged over the faces i.

    The paper sums over all faces; the mean keeps λ independent of the batch's size, as the cross-entropy beside it is. Both
    distributions are the learning network's, and gradients reach both: a frozen network's would make the term constant.

    Args:
        logits: of the faces, (B, classes).
        neighbour_logits: of their neighbours, (B, K, classes).
        weights: a_ij, (B, K).

    Returns:
        A scalar ≥ 0.
    """
    of_face = F.log_softmax(logits, dim=-1)[:, None].expand_as(neighbour_logits)
    of_neighbours = F.log_softmax(neighbour_logits, dim=-1)
    divergence = F.kl_div(of_face, of_neighbours, reduction="none", log_target=True).sum(-1)
    return (weights * divergence).sum(1).mean()


def _search(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and rows (N, k) of the nearest others, nearest first; row −1 where the index found none."""
    import faiss  # needed for this alone

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # several would link the vectors in another order each time
    try:
        index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS)
        index.hnsw.efConstruction, index.hnsw.efSearch = BUILD_EFFORT, max(SEARCH_EFFORT, 2 * k)
        index.add(vectors)
        squared, found = index.search(vectors, k + 1)
    finally:
        faiss.omp_set_num_threads(threads)
    itself_last = np.argsort(found == np.arange(len(vectors))[:, None], axis=1, kind="stable")[:, :k]
    squared, found = (np.take_along_axis(table, itself_last, axis=1) for table in (squared, found))
    return np.sqrt(np.maximum(squared, 0)), found


def draw(vectors: np.ndarray, labels: list[str], picture: Path, seed: int = 0) -> None:
    """Write a PNG of the vectors (N, units), mapped to the plane by t-SNE, each a dot in its label's colour.

    Raises:
        InputRejected: fewer than four vectors.
        UsageError: the picture cannot be written.
    """
    from matplotlib.figure import Figure
    from sklearn.manifold import TSNE

    if len(vectors) < 4:
        raise InputRejected(f"a t-SNE picture needs at least 4 vectors with a label, not {len(vectors)}")
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    figure = Figure(figsize=(8, 6.4), facecolor="white", layout="constrained")
    axes = figure.subplots()
    known = [label for label in FERPLUS_LABELS if label in labels]
    for label in known + sorted(set(labels) - set(known)):
        chosen = places[np.array([each == label for each in labels])]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=6, label=f"{label} ({len(chosen)})")
    axes.set(title=f"Action Units of {len(vectors)} faces, t-SNE, perplexity {perplexity:.0f}", xticks=[], yticks=[])
    figure.legend(loc="outside right upper", frameon=False, markerscale=2)
    with new_binary(picture) as file:
        figure.savefig(file, format="png", dpi=120)


def read_labels(source: Path) -> dict[str, str]:
    """{image name: label} from a CSV of rows ``name, label``, or FER+ train's majority labels.

    Raises:
        InputRejected, EnvironmentInvalid: neither is there.
    """
    if source.is_dir() or source.suffix == ".zip":
        faces = ferplus.load("train", source).evaluated
        return {name: FERPLUS_LABELS[k] for name, k in zip(faces.names, faces.labels, strict=True)}
    try:
        with source.open(newline="", encoding="utf-8-sig") as text:
            rows = [[field.strip() for field in row] for row in csv.reader(text) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputRejected(f"{source} cannot be read as CSV ({error})") from None
    if not rows or any(len(row) < 2 for row in rows):
        raise InputRejected(f"{source} must hold lines 'name, label'")
    return {row[0]: row[1] for row in rows}


def _labelled(vectors: str, labels: Path | None, faces: int) -> tuple[np.ndarray, list[str]]:
    """Vectors float32 (N, units) and labels of the images that have both."""
    if vectors == "synthetic":
        _, actions, shown = synthetic.actions(faces)
        return actions, [FERPLUS_LABELS[label] for label in shown]
    if labels is None:
        raise UsageError("--vectors needs --labels, the file that says which expression each image shows")
    names, found = action_units.read(vectors)
    known = read_labels(labels)
    labelled = action_units.rows_of(tuple(known), names)
    rows = np.flatnonzero(labelled >= 0)
    if not len(rows):
        raise InputRejected(
            f"{labels} has no label for any of the {len(names)} images of {vectors}, such as '{names[0]}'"
        )
    shown = list(known.values())
    return found[rows], [shown[labelled[row]] for row in rows]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.au_graph", description=__doc__)
    parser.add_argument(
        "--vectors",
        required=True,
        help="Action Units: a folder of OpenFace's CSV files, one CSV file, or 'synthetic' faces, which carry exact ones",
    )
    parser.add_argument("--labels", type=Path, help="CSV of 'name, label', or a folder or zip with FER+")
    parser.add_argument("--picture", required=True, type=Path, metavar="PNG", help="picture to write")
    parser.add_argument("--faces", type=int, default=1000, help="number of synthetic faces (default 1000)")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    vectors, labels = _labelled(args.vectors, args.labels, args.faces)
    draw(vectors, labels, args.picture)
    print(f"{args.picture}: {len(vectors)} faces, {vectors.shape[1]} Action Units, {len(set(labels))} labels")
    return 0


if __name__ == "__main__":
    sys.exit(exit_with(main))
