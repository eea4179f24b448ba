"""Values that are stored as JSON and outlive the code that wrote them, with upgrades from earlier schemas.

Every stored type writes its schema number::

    {"type": "FineTunedModel", "value": {"schema": 1, "model": {"schema": 1, …}, …}}

To add or remove a field, or change its meaning: raise `schema_number`, write the upgrade from the number before, and
update the snapshot of the stored types in the tests, which fail until then. A value without a number is of schema 1:
the first release wrote none. A `Stored` inside another one has its own number and upgrades. A plain `FrozenModel`
inside one has none: raise the number of its owner.

A version that is computed from fields of a value must name these fields. If it took all of them, an added field would
change the version of every stored value, and none could be read any more.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from pipeline.core.checksums import checked_json, read_checked
from pipeline.core.errors import MismatchError

SCHEMA_KEY = "schema"

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the fields of one schema number into those of the next."""

FROM_STORE = {"from_store": True}
"""Validation context for stored values, also as parts of values that are not stored."""


class FrozenModel(BaseModel):
    """An immutable value with checked fields. Its validator is built on first use, as most types are not used while the
    definitions load."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(frozen=True)
class Renamed:
    """What a setting is called now.

    Attributes:
        name: the current name.
        values: the current value for each earlier one that is written differently now; other values stay as they are.
        at_most: the upper bound under the earlier name, if the current name has a wider one.
    """

    name: str
    values: Mapping[Any, Any] = field(default_factory=dict)
    at_most: float | None = None

    def value(self, given: Any) -> Any:
        """The current value for one that was given under the earlier name.

        Raises:
            ValueError: when the value is above the bound of the earlier name.
        """
        if self.at_most is not None and _is_above(given, self.at_most):
            raise ValueError(f"{given}: it is above {self.at_most:g}; use {self.name}")
        return self.values.get(given, given) if isinstance(given, Hashable) else given


class Settings(FrozenModel):
    """Settings that are also read under their earlier names.

    To rename a setting, rename the field and declare its earlier name::

        class Recipe(Settings):
            renamed: ClassVar = {
                "scheduler": Renamed("lr_scheduler_type"),
                "keep": Renamed("load_best_model_at_end", {"best": True, "last": False}),
            }

    The earlier name then works in config files, in `--set step.scheduler=linear`, in Dagster's run config (of the
    Launchpad, of schedules and of runs that are executed again) and in stored values. The first use in a process logs a
    warning. Both names together are refused. An earlier name is no attribute, and isn't written.

    Attributes:
        renamed: the current name for each earlier one.
        removed: settings that are gone, each with the value that changed nothing. They are ignored at that value, and
            refused by name at any other.
    """

    renamed: ClassVar[Mapping[str, Renamed]] = {}
    removed: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def with_current_names(cls, given: Mapping[str, Any], is_stored: bool = False) -> dict[str, Any]:
        """The given settings under their current names, without those that were removed.

        Raises:
            ValueError: when a setting is given under both names, or one that was removed would change something.
        """
        values = dict(given)
        for name, neutral in cls.removed.items():
            if name in values and not _is_neutral(value := values.pop(name), neutral):
                raise ValueError(f"{name} is {value}, but this setting was removed: leave it out")
        for earlier, current in cls.renamed.items():
            if earlier not in values:
                continue
            if current.name in values:
                raise ValueError(f"{earlier} and {current.name} are the same setting: leave out {earlier}")
            try:
                values[current.name] = current.value(values.pop(earlier))
            except ValueError as error:
                raise ValueError(f"{earlier} can't be {error}") from None
            if not is_stored:
                _warn_renamed(earlier, current.name)
        return values

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, fields: Any, info: ValidationInfo) -> Any:
        is_stored = bool((info.context or {}).get("from_store"))
        return cls.with_current_names(fields, is_stored) if isinstance(fields, dict) else fields


def _is_above(value: Any, bound: float) -> bool:
    """Whether a number, or the text of one, is above a bound. Anything else is left to the check of its type."""
    try:
        return float(value) > bound
    except (TypeError, ValueError):
        return False


def _is_neutral(value: Any, neutral: Any) -> bool:
    """Whether a value, or the text that stands for it on a command line, is the neutral one."""
    if isinstance(value, str):
        return value.lower() in ("", "null", "~") if neutral is None else value.lower() == str(neutral).lower()
    return bool(value == neutral)


@cache
def _warn_renamed(earlier: str, current: str) -> None:
    """Warn once in a process."""
    logging.getLogger(__name__).warning("The setting %s is now called %s.", earlier, current)


class Stored(FrozenModel):
    """A frozen value that is stored as JSON.

    Attributes:
        schema_number: of the fields as they are now.
        upgrades: from each earlier number to the next.
    """

    schema_number: ClassVar[int] = 1
    upgrades: ClassVar[Mapping[int, Upgrade]] = {}

    @classmethod
    def from_stored(cls, stored: Any) -> Self:
        """The value that any release up to this one has written.

        Raises:
            MismatchError: when a newer release wrote it.
            pydantic.ValidationError: when it is invalid.
        """
        return cls.model_validate(stored, context=FROM_STORE)

    @classmethod
    def from_stored_json(cls, text: str | bytes) -> Self:
        """As `from_stored`, from JSON."""
        return cls.model_validate_json(text, context=FROM_STORE)

    def to_checked_json(self) -> bytes:
        """The value as a file with a checksum of itself."""
        return checked_json(self.model_dump(mode="json"))

    @classmethod
    def from_checked_json(cls, content: bytes) -> Self:
        """As `from_stored`, from the bytes of a file; earlier releases wrote no checksum.

        Raises:
            ValueError: when it is not what was written.
        """
        return cls.from_stored(read_checked(content))

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, fields: Any, info: ValidationInfo) -> Any:
        if not isinstance(fields, dict) or not (info.context or {}).get("from_store"):
            return fields
        number, values = fields.get(SCHEMA_KEY, 1), {key: fields[key] for key in fields if key != SCHEMA_KEY}
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{number!r} is no schema number")
        if number > cls.schema_number:
            raise MismatchError(
                f"a {cls.__name__} of schema {number} was written by a newer release, and this one reads up to schema "
                f"{cls.schema_number}: upgrade the project",
                type=cls.__name__,
                schema=number,
                newest=cls.schema_number,
            )
        for older in range(number, cls.schema_number):
            values = cls.upgrades[older](values)
        return values

    @model_serializer(mode="wrap")
    def _with_schema(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {SCHEMA_KEY: self.schema_number, **handler(self)}


class StoredValue(Stored, ABC):
    """The stored value of an asset, with a version.

    Attributes:
        stored_name: the name of the type in files. It stays when the class is renamed.
    """

    stored_name: ClassVar[str]

    @property
    @abstractmethod
    def data_version(self) -> str:
        """Content hash of what the value stands for, independent of the machine."""


class Interval(FrozenModel):
    """A figure with its 95 % interval.

    Attributes:
        estimate: on all data.
        low, high: bounds of 95 % of the resampled figures.
    """

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.4f} ({self.low:.4f} to {self.high:.4f})"

    @property
    def signed(self) -> str:
        """For a difference."""
        return f"{self.estimate:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


class Cost(FrozenModel):
    """The estimated cost of remote work, for its GPU alone.

    Attributes:
        amount: in `currency`.
        prices_as_of: date of the price table.
    """

    amount: float
    currency: str
    prices_as_of: str

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"
