"""What a search returns: the Pareto front as table, picture and JSON, and the configuration that a target's budgets ask for."""

from dataclasses import asdict
from pathlib import Path

from compress.search import Asked, Configuration, Found
from edgefer import parity
from edgefer.files import new_binary
from edgefer.targets import Budget, Target

Trials = list[tuple[Configuration, Found]]


def pareto(trials: Trials) -> Trials:
    """Trials that no other beats in accuracy, latency and size at once, fastest first."""

    def better(a: Found, b: Found) -> bool:
        one, other = ((-f.accuracy, f.relative, f.artifact_mb) for f in (a, b))
        return one != other and all(x <= y for x, y in zip(one, other, strict=True))

    front = [(chosen, found) for chosen, found in trials if not any(better(other, found) for _, other in trials)]
    return sorted(front, key=lambda pair: pair[1].relative)


def problems(found: Found, target: Target) -> list[str]:
    """What keeps a configuration from the target's budgets, one phrase each.

    Accuracy is held against the network as it came, by the drop of the parity rule; the flips that it allows are those of
    quantising, since a network that was trained on answers some faces otherwise.
    """
    paired = found.paired
    if paired.drop_points is None:
        wrong = parity.problems(paired)
    else:
        wrong = [p for p in parity.problems(paired, target.margin_points) if "flip" not in p]
        if found.own_flips > parity.MAX_FLIPS:
            wrong.append(f"quantising flips {found.own_flips:.1%} of the labels, {parity.MAX_FLIPS:.0%} are allowed")
    values = {"fps": 1000 / found.latency_ms, "artifact_mb": found.artifact_mb}
    for name, value in values.items():
        budget = target.budgets.get(name, Budget())
        if budget.min is not None and value < budget.min:
            wrong.append(f"{name} is {value:.4g}, at least {budget.min:g} is asked for")
        if budget.max is not None and value > budget.max:
            wrong.append(f"{name} is {value:.4g}, at most {budget.max:g} is asked for")
    return wrong


def choose(trials: Trials, target: Target) -> tuple[Configuration, Found, list[str]] | None:
    """The fastest configuration that holds the budgets; if none does, the one nearest to it with what it breaks."""
    judged = [(chosen, found, problems(found, target)) for chosen, found in trials]
    holding = [each for each in judged if not each[2]]
    if holding:
        return min(holding, key=lambda each: each[1].relative)
    return min(judged, key=lambda each: (len(each[2]), -each[1].accuracy), default=None)


def told(trials: Trials, asked: Asked) -> str:
    """What was chosen and how to train it in full; or that nothing holds, and what is nearest."""
    best = choose(trials, asked.target)
    if not best:
        return "nothing was measured; give the search more --minutes"
    chosen, found, wrong = best
    name = f"{chosen.network} {chosen.precision}: {100 * found.accuracy:.2f} %, {found.relative:.2f} times the latency"
    if wrong:
        return f"no configuration holds the budgets of {asked.target.name}; nearest is {name} ({'; '.join(wrong)})"
    made = asked.out / "networks" / chosen.network
    network = (
        f"Its network: {made}; it was trained on for a short while only, python -m compress.prune --recipe trains one in full"
        if made.exists()
        else f"It is the network as it came: {asked.base}"
    )
    return f"{name} holds the budgets of {asked.target.name}. {network}"


def to_json(trials: Trials, target: Target, out: Path) -> dict:
    """``{schema, target, trials, pareto, chosen}``; a network's folder is below the search's own."""

    def told(chosen: Configuration, found: Found) -> dict:
        return {"configuration": asdict(chosen), **found.to_json(), "problems": problems(found, target)}

    best = choose(trials, target)
    return {
        "schema": 1,
        "target": target.name,
        "trials": [told(*pair) for pair in trials],
        "pareto": [told(*pair) for pair in pareto(trials)],
        "chosen": told(*best[:2]) if best else None,
        "satisfied": bool(best and not best[2]),
        "networks": str(out / "networks"),
    }


def table(trials: Trials, target: Target):
    """The front as a rich table."""
    from rich import box
    from rich.table import Table

    labelled = any(found.paired.drop_points is not None for _, found in trials)
    shown = Table(title=f"Pareto front for {target.name}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("input", "blocks out", "width", "type"):
        shown.add_column(name, justify="right")
    shown.add_column("accuracy %" if labelled else "agreement %", justify="right")
    for name in ("latency ms", "× as it came", "MB"):
        shown.add_column(name, justify="right")
    shown.add_column("budgets")
    for chosen, found in pareto(trials):
        shown.add_row(
            f"{chosen.input_size}²",
            str(chosen.blocks),
            f"{chosen.width:g}",
            chosen.precision,
            f"{100 * found.accuracy:.2f}",
            f"{found.latency_ms:.3f}{' (proxy)' if found.proxy else ''}",
            f"{found.relative:.2f}",
            f"{found.artifact_mb:.2f}",
            "break" if problems(found, target) else "hold",
        )
    return shown


def broken(trials: Trials, target: Target) -> list[str]:
    """One line for each configuration of the front that breaks budgets: which, and by how much."""
    judged = ((chosen, problems(found, target)) for chosen, found in pareto(trials))
    return [f"{chosen.network} {chosen.precision} breaks: {'; '.join(wrong)}" for chosen, wrong in judged if wrong]


def draw(trials: Trials, target: Target, picture: Path) -> None:
    """Accuracy over latency; area is size, the line is the front, the ring what was chosen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for precision, colour in (("fp32", "#8a8a8a"), ("int8", "#1f6fb2")):
        points = [found for chosen, found in trials if chosen.precision == precision]
        x, y = [f.relative for f in points], [100 * f.accuracy for f in points]
        axes.scatter(x, y, s=[40 * f.artifact_mb for f in points], color=colour, alpha=0.6, label=precision)
    front = pareto(trials)
    axes.plot([f.relative for _, f in front], [100 * f.accuracy for _, f in front], color="#444444", linewidth=1)
    best = choose(trials, target)
    if best:
        chosen, found, wrong = best
        told = f"{chosen.network} {chosen.precision}" + (" (nearest)" if wrong else "")
        axes.scatter([found.relative], [100 * found.accuracy], s=220, facecolors="none", edgecolors="#c0392b")
        axes.annotate(told, (found.relative, 100 * found.accuracy), (8, -14), textcoords="offset points")
    labelled = any(found.paired.drop_points is not None for _, found in trials)
    axes.set_xlabel("latency, times that of the network as it came in int8")
    axes.set_ylabel(f"{'accuracy' if labelled else 'agreement'} on the tuning crops, %")
    axes.set_title(f"{target.name}: area of a point is its size, MB")
    axes.grid(alpha=0.3)
    axes.legend()
    with new_binary(picture) as file:
        figure.savefig(file, format="png", dpi=120)
