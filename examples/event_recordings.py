"""Draw what a simulated event camera records of a digit: docs/images/events.svg.

    python examples/event_recordings.py [--out docs/images/events.svg]

Left: the digit and the way of the gaze. Middle: the recording, orange where a pixel got brighter, blue where darker.
Right: the nine binary frames that a network sees (gray: both polarities in one frame).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from art_snn.data import SaccadeCamera, digits, event_grids, saccades

BRIGHTER, DARKER = "#D55E00", "#0072B2"


def draw(sample: int) -> Figure:
    image = digits().x_test[sample, 0]
    camera = SaccadeCamera()
    events = saccades(image[None], camera)[0]
    grid = event_grids([events])[0]
    figure = Figure(figsize=(9.5, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.1, 2.2, 2.4))
    bare = {"xticks": [], "yticks": []}
    top, bottom = left.subplots(2, 1)
    top.imshow(image, cmap="gray")
    top.set(title="the image", **bare)
    path = camera.gaze()
    bottom.plot(path[:, 1], path[:, 0], color="black")
    for number in (1, 2, 3):
        at = path[round((number - 0.5) * camera.samples)]
        bottom.text(at[1], at[0], str(number), backgroundcolor="white", ha="center", va="center", size="small")
    bottom.set(title="the gaze", xlabel="pixels", aspect="equal")
    bottom.invert_yaxis()
    color = np.where(events["p"] == 1, BRIGHTER, DARKER)
    for ax, axis, name in zip(middle.subplots(2, 1, sharex=True), ("x", "y"), ("column", "row"), strict=True):
        ax.scatter(events["t"] / 1000, events[axis], c=color, s=6, linewidths=0)
        ax.set(ylabel=name, xlim=(0, camera.duration / 1000), ylim=(camera.size[0], -1))
        for end in (1, 2):
            ax.axvline(end * camera.saccade / 1000, color="gray", linewidth=0.8)
        if axis == "x":
            ax.set_title(f"{len(events)} events")
        else:
            ax.set_xlabel("time (ms), three saccades")
    for step, ax in enumerate(right.subplots(3, 3).flat):
        picture = np.ones((*camera.size, 3))
        picture[grid[step, 0] > 0] = (0.0, 0.45, 0.70)
        picture[grid[step, 1] > 0] = (0.84, 0.37, 0.0)
        picture[(grid[step] > 0).all(0)] = (0.35, 0.35, 0.35)
        ax.imshow(picture, interpolation="nearest")
        ax.set(title=f"frame {step + 1}", **bare)
        ax.title.set_size("small")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=3, help="which test digit")
    parser.add_argument("--out", type=Path, default=Path("docs/images/events.svg"))
    chosen = parser.parse_args()
    figure = draw(chosen.sample)
    with rc_context({"svg.hashsalt": "art-snn", "svg.fonttype": "path"}):
        figure.savefig(chosen.out, metadata={"Date": None, "Creator": None} if chosen.out.suffix == ".svg" else None)
    print(chosen.out)


if __name__ == "__main__":
    main()
