"""What can go wrong, as values and as exceptions.

* Fault: a mistake of the user's in a spec, with its path, the value received and the remedy;
  a value, since all faults of a spec are reported at once.
* TriremeError: everything this package raises on purpose.
  x InvalidSpec: a spec cannot be used; carries its faults.
  x InvalidSettings: the operator cannot run as it is set up; says what is missing.
  x SignalsUnavailable: a source of signals did not answer usefully; carries the reason.
    x SignalsUnanswered: it did not answer at all, whatever it was asked.
  x ClusterError: the Kubernetes API refused or did not answer.
  x ServerError: a Triton server refused or did not answer.
    x ServerRefused: it answered, and refused.
      x ServerForbade: it refused who asked, not what was asked.
  x LoadNotOffered: this machine could not offer the load that it was to; says how late it was.
  x InvalidSamples: what requests are to hold cannot be used; says the file and the input.
  x LeaseLost: this operator may no longer act.
  x UnreadableModel: a model file is not what it should be; says what it is, and the remedy.
  x InspectionLimit: a model file is larger than inspection reads; nothing is wrong with it.
  x InvalidTrace: recorded traffic cannot be used; says the file, the line and the value.
  x UnreadableRecord: a recorded decision cannot be read; says where, and what is wrong there.
  x RecordsUnavailable: the operator's records of decisions cannot be had; says why.
  x IncompleteHistory: an agent's past in Prometheus cannot be used; says what is missing.
  x UnattainableObjective: no rate is low enough for a latency objective; says what is possible.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_VALUE = 80  # characters of a received value in a sentence
_MOST_TOLD = 200  # faults in one text: about as many as a condition has room for (32 KiB)


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake in a spec.

    `path` is the field as kubectl writes it (`spec.models[0].maxBatchSize`), `value` what was
    received there (None where something is missing, and where it may be a secret: faults are read
    in Events and logs), `message` what is wrong with it, `remedy` what to write instead.
    """

    path: str
    value: object
    message: str
    remedy: str

    def __str__(self) -> str:
        told = self.value is None or _names(self.message, self.value)
        message = self.message if told else f"{self.message} (received {_shown(self.value)})"
        return f"{self.path}: {message}. {self.remedy}"


def _names(message: str, value: object) -> bool:
    """Whether a message names the value already, in quotes or without; 1 is not in 16."""
    spellings = filter(None, (_quoted(value), str(value)))
    return any(
        each in message and re.search(rf"(?<!\w){re.escape(each)}(?!\w)", message)
        for each in spellings
    )


def _shown(value: object) -> str:
    text = _quoted(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _quoted(value: object) -> str:
    """A value as faults show it: text in quotes, that of an enum too."""
    return repr(str(value)) if isinstance(value, str) else repr(value)


class TriremeError(Exception):
    """The base of every error this package raises on purpose."""


class InvalidSpec(TriremeError):
    """A spec cannot be used; `faults` holds the reasons, in the order of the spec."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        told = [str(fault) for fault in faults[:_MOST_TOLD]]
        if len(faults) > len(told):
            told.append(f"and {len(faults) - len(told)} faults more")
        super().__init__("\n".join(told))
        self.faults = tuple(faults)


class InvalidSettings(TriremeError):
    """The operator cannot run as it is set up; the text says what is missing."""


class SignalsUnavailable(TriremeError):
    """Prometheus, or what stands in for it, did not answer usefully; the text says how."""


class SignalsUnanswered(SignalsUnavailable):
    """It cannot be reached, or did not answer in time: others will hardly fare better now."""


class ClusterError(TriremeError):
    """The Kubernetes API refused a request or did not answer it.

    `status` is the HTTP status (0 where there was no answer), `message` the API's own words.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})" if status else message)
        self.status = status
        self.message = message


class ServerError(TriremeError):
    """A Triton server refused a request or did not answer it; the text is its own words."""


class ServerRefused(ServerError):
    """A Triton server answered, and would not do what it was asked; the text is its own words."""


class ServerForbade(ServerRefused):
    """A Triton server does not take the control key, whatever it is asked with it."""


class LoadNotOffered(TriremeError):
    """This machine could not offer the load that it was to: nothing is said of the server."""


class InvalidSamples(TriremeError):
    """What requests are to hold cannot be used; the text says why."""


class LeaseLost(TriremeError):
    """The Lease was lost: another operator may act now, so this one must end."""


class UnreadableModel(TriremeError):
    """A model file is not what it should be: `message` says what it is, `remedy` what to do.

    `is_doubtful` says that the server may yet be able to read it (it has a newer Python).
    """

    def __init__(self, message: str, remedy: str, is_doubtful: bool = False) -> None:
        super().__init__(f"{message}. {remedy}")
        self.message = message
        self.remedy = remedy
        self.is_doubtful = is_doubtful


class InspectionLimit(TriremeError):
    """A model file is larger or deeper than inspection reads; the text says where it stopped.

    No mistake of the user's: such a file is served without having been inspected.
    """


class InvalidTrace(TriremeError):
    """Recorded traffic cannot be used: `line` of the file `name` is where, `message` says why."""

    def __init__(self, name: str, line: int, message: str) -> None:
        super().__init__(f"{name}, line {line}: {message}")
        self.name = name
        self.line = line


class UnreadableRecord(TriremeError):
    """A recorded decision cannot be read by this version; the text says where and why."""


class RecordsUnavailable(TriremeError):
    """The records of decisions that the operator keeps cannot be had; the text says why."""


class IncompleteHistory(TriremeError):
    """An agent's past in Prometheus cannot be used; the text says what is missing, and when."""


class UnattainableObjective(TriremeError):
    """An idle pod breaks a latency objective: its percentile is `least_seconds`."""

    def __init__(self, least_seconds: float) -> None:
        super().__init__(f"an idle pod takes {least_seconds * 1e3:.3g} ms")
        self.least_seconds = least_seconds
