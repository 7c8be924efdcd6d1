"""Pages, styles, the player and the studio: files only. Who serves them reads them from `ROOT`."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent
