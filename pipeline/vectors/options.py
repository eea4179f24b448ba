"""How vectors are compared and indexed: settings."""

from typing import Literal

EngineChoice = Literal["auto", "exact", "index"]
