"""Whether more instances of a model have room in a pod's memory. Pure.

What a pod takes is measured as a whole: its server and all its models. So an instance takes no more
than its share of that, if it is not said what one takes, and what fits by that fits. In a pod with
GPUs it cannot be said: what `limits.instanceMemory` says is of theirs, and this is the host's.
"""

from dataclasses import dataclass

from trireme.autoscaler.wording import gibibytes


@dataclass(frozen=True, slots=True)
class PodMemory:
    """In bytes of the host's memory: what a pod may take, the most that one is measured to, and
    what an instance is said to, None where nobody says, or can.
    """

    limit_bytes: int
    used_bytes: int
    instance_bytes: int | None = None
    can_be_said: bool = True

    def with_instances(self, wanted: int, now: int) -> float:
        """What it may take with more of them than now."""
        each = self.used_bytes / now if self.instance_bytes is None else self.instance_bytes
        return self.used_bytes + (wanted - now) * each

    def lack(self, wanted: int, now: int) -> str:
        """Why more of them than now have no room; empty where they do."""
        needed = self.with_instances(wanted, now)
        if needed <= self.limit_bytes:
            return ""
        each, remedy = "which may all be theirs", "Raise"
        if self.instance_bytes is not None:
            each = f"and one is said to take {gibibytes(self.instance_bytes)}"
        elif self.can_be_said:
            remedy = "Say in spec.tuning.limits.instanceMemory what one takes, or raise"
        return (
            f"{wanted} may take {gibibytes(needed)} of a pod's {gibibytes(self.limit_bytes)}: with "
            f"{now} it is measured to take {gibibytes(self.used_bytes)}, {each}. {remedy} "
            "spec.server.resources.memory"
        )
