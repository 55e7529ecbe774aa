# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make a folder of hostile disk files and appliances, each with the message that it must get.

Nothing in it is dangerous to have.

usage: python3 tests/hostile/make_files.py DIRECTORY     (needs qemu-img)

Writes each file under its name, and expected.json: name, message (a regular expression), what is said of the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hostile import Hostile
from hostile_appliances import APPLIANCES
from hostile_disks import DISKS


def make_files(directory: Path, files: list[Hostile]) -> None:
    """Write the files, which are new, and expected.json."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.make(directory / file.name)
    expected = [file.to_json() for file in files]
    (directory / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    files = [*DISKS, *APPLIANCES]
    make_files(Path(sys.argv[1]), files)
    print(f"{len(files)} hostile files in {sys.argv[1]}, what each must get in expected.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
