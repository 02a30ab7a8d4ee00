"""How far the runs are."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(
    total: int, done: int, *, shown: bool
) -> Iterator[Callable[[dict], None]]:
    """Shows a bar in a terminal or a notebook, and a line a run elsewhere.

    Args:
        total: Int, the number of runs.
        done: Int, how many were finished before.
        shown: Whether anything is shown.
    Yields:
        The function to call with each finished record.
    """
    if not shown:
        yield lambda record: None
        return
    # Rich comes with Keras.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    # In a notebook the bar is a widget.
    widgets = console.is_jupyter and importlib.util.find_spec("ipywidgets")
    live = console.is_terminal or bool(widgets)
    bar = Progress(
        TextColumn("runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        disable=not live,
    )
    with bar:
        task = bar.add_task("", total=total, completed=done)

        def advance(record: dict) -> None:
            nonlocal done
            done += 1
            place = f"{record['variant']}, {record['data']}"
            text = f"{place}, seed {record['seed']}"
            bar.update(task, advance=1, description=text)
            failed = record["status"] == "failed"
            if failed:
                text += f" failed: {record['error']}"
            if failed or not live:
                bar.console.print(
                    f"[{done}/{total}] {text}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )

        yield advance
