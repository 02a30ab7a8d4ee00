"""One file a run, complete or absent."""

import json
import os
import pathlib


class Store:
    """A folder with one JSON file for each run.

    Args:
        folder: Path of the folder; made if it doesn't exist.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, key: str) -> dict | None:
        """Returns the record of a run, or `None` if none is complete."""
        try:
            text = (self.folder / f"{key}.json").read_text("utf-8")
            record = json.loads(text)
        except (FileNotFoundError, ValueError):
            return None
        whole = isinstance(record, dict) and record.get("key") == key
        return record if whole else None

    def write(self, record: dict) -> None:
        """Writes a record so that a kill leaves the old file or the new."""
        path = self.folder / f"{record['key']}.json"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def records(self) -> list[dict]:
        """Returns all complete records."""
        keys = sorted(path.stem for path in self.folder.glob("*.json"))
        return [record for record in map(self.read, keys) if record]
