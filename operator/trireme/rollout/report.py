"""A canary in the agent's status, and back: what a new process goes on from. Pure.

Numbers are written as they are: what is read is what was written, to the last bit.
"""

from datetime import datetime, timedelta

from trireme.api.rollout import (
    Capital,
    DueAnswers,
    RolloutAnalysis,
    RolloutPhase,
    RolloutStatus,
    TrackAnswers,
)
from trireme.rollout.evidence import STAKES, START, Bets, Share
from trireme.rollout.types import Answers, Due, Evidence, Memory, Verdict, Why


def rollout_status(
    candidate: str,
    generation: int,
    began: datetime,
    weight: float,
    verdict: Verdict,
    memory: Memory,
) -> RolloutStatus:
    """The status of a canary after a round; `weight` is what it gets by now."""
    evidence = memory.evidence
    status = RolloutStatus(
        phase=verdict.phase,
        candidate=candidate,
        generation=generation,
        step=memory.step + 1,
        start_time=began.isoformat(),
        message=verdict.message,
        undecided=verdict.why is Why.UNDECIDED,
        canary=_told(evidence.canary),
        stable=_told(evidence.stable),
        analysis=_analysis(memory) if verdict.phase is RolloutPhase.PROGRESSING else None,
    )
    return status.model_copy(update={"weight": weight})  # a ratio is read as text alone


def memory_of(status: RolloutStatus) -> Memory | None:
    """What the analysis of a canary knew when its status was written; None where it has ended."""
    told = status.analysis
    if told is None:
        return None
    return Memory(
        step=status.step - 1,
        looked=datetime.fromisoformat(told.look_time),
        watched=timedelta(seconds=told.watched_seconds),
        carried=timedelta(seconds=told.carried_seconds),
        seen=told.step_requests,
        compared=told.step_compared,
        usual_milliseconds=told.usual_milliseconds,
        evidence=Evidence(
            canary=_answers(status.canary),
            stable=_answers(status.stable),
            due=Due(told.due.failed, told.due.refused, told.due.late, told.due.slow),
            compared=Share(min(told.different, told.compared), told.compared),
            pending_canary=_answers(told.pending_canary),
            pending_stable=_answers(told.pending_stable),
            failed=told.capital.failed,
            refused=told.capital.refused,
            different=told.capital.different,
            late=_bets(told.capital.late),
            slow=_bets(told.capital.slow),
        ),
    )


def _analysis(memory: Memory) -> RolloutAnalysis:
    evidence = memory.evidence
    return RolloutAnalysis(
        look_time=memory.looked.isoformat(),
        watched_seconds=memory.watched.total_seconds(),
        carried_seconds=memory.carried.total_seconds(),
        step_requests=memory.seen,
        step_compared=memory.compared,
        usual_milliseconds=memory.usual_milliseconds,
        due=DueAnswers(
            failed=evidence.due.failed,
            refused=evidence.due.refused,
            late=evidence.due.late,
            slow=evidence.due.slow,
        ),
        compared=evidence.compared.requests,
        different=evidence.compared.cases,
        pending_canary=_told(evidence.pending_canary),
        pending_stable=_told(evidence.pending_stable),
        capital=Capital(
            failed=evidence.failed,
            refused=evidence.refused,
            different=evidence.different,
            late=list(evidence.late.logs),
            slow=list(evidence.slow.logs),
        ),
    )


def _told(answers: Answers) -> TrackAnswers:
    return TrackAnswers(
        requests=answers.requests,
        failed=answers.failed,
        late=answers.late,
        slow=answers.slow,
        untimed=answers.untimed,
        refused=answers.refused,
    )


def _answers(told: TrackAnswers) -> Answers:
    """Nobody but the operator writes them; who did by hand cannot have it fail."""
    most = told.requests
    timed = most - min(told.untimed, most)
    return Answers(
        most,
        min(told.failed, most),
        min(told.late, timed),
        min(told.slow, timed),
        most - timed,
        None if told.refused is None else min(told.refused, most),
    )


def _bets(logs: list[float]) -> Bets:
    """Of another version's stakes nothing is known."""
    return Bets(tuple(logs)) if len(logs) == len(STAKES) else START
