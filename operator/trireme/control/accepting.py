"""Whether a spec can be used, and what becomes of it: with Trireme's own settings, in modes Apply,
as far as it is not refused for them.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from trireme.admission.parse import parse_agent, readable_status
from trireme.admission.sources import SourceNotFound
from trireme.api.agent import AgentDeployment, AgentSpec
from trireme.api.conditions import Reason
from trireme.api.status import AgentStatus
from trireme.control.adopting import Adopting, recall, with_settings
from trireme.control.agent_state import Accepted, Refused
from trireme.control.canary_course import Course
from trireme.control.examining import examined
from trireme.control.preflight import Preflight
from trireme.control.recorded import live_sources, remembered
from trireme.control.store import AgentView
from trireme.control.trial import Trial
from trireme.edge.cluster import Cluster, Object
from trireme.errors import InvalidSpec
from trireme.modelrepo.render import render
from trireme.modelrepo.repository import Repository
from trireme.resources.canary import serve_alike
from trireme.resources.change import Running, change
from trireme.resources.node_cache import missing_node_cache
from trireme.resources.options import ResourceOptions
from trireme.rollout import adoption
from trireme.rollout.adoption import Adoptions


class Accepting:
    """Examines specs; what it knows of an agent is in the agent's view."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        options: ResourceOptions,
        trial: Trial,
        adopting: Adopting,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._options = options
        self._trial = trial
        self._adopting = adopting
        self._preflight = Preflight(cluster, options, clock)

    async def course(self, view: AgentView, body: Object) -> Course | Refused | None:
        """What becomes of the spec as it is now; of a setting that was taken back, without it.
        Raises ClusterError.
        """
        may_begin = True
        while True:
            new, candidate = await self._accept(view, body, may_begin=may_begin), None
            if isinstance(new, Refused):
                view.refused = new
                view.accepted = view.accepted or await remembered(self._cluster, body)
            else:
                view.refused, candidate = None, await self._undoing(view, body, new)
            course = await self._trial.course(view, body, candidate)
            if not isinstance(course, Course) or (candidate is not None and not candidate.tries):
                return course
            if not self._adopting.settle(view, course):
                return course
            may_begin = False  # else what cannot be tried would be begun again

    async def _accept(
        self, view: AgentView, body: Object, *, may_begin: bool
    ) -> Accepted | Refused:
        """The spec as the user wrote it, with Trireme's own settings as far as it is not refused
        for them; one more of these `may_begin`. An edit that is refused changes nothing of them.
        """
        recall(view, body)
        before = view.adoption.present
        try:
            agent = parse_agent(body)
        except InvalidSpec as error:
            return Refused(Reason.INVALID_SPEC, str(error))
        if may_begin:
            await self._adopting.measure(view, body, agent)
        self._adopting.look(view, body, agent, may_begin=may_begin)
        found = await self._examined(view, body, agent, view.adoption.present, inspects=True)
        if isinstance(found, Refused):
            found = await self._accept_without(view, body, agent, found)
        if isinstance(found, Refused):
            view.adoption.present = before
        else:
            view.asked = agent
        return found

    async def _accept_without(
        self, view: AgentView, body: Object, agent: AgentDeployment, refused: Refused
    ) -> Accepted | Refused:
        """A spec that is refused, without the setting that it is refused for, if it is for one."""
        for less, after in self._adopting.fallbacks(view, refused):
            found = await self._examined(view, body, agent, less, inspects=False)
            if isinstance(found, Accepted):
                view.adoption.present = after
                return found
        return refused

    async def _undoing(self, view: AgentView, body: Object, new: Accepted) -> Accepted:
        """A spec, with what it takes back of Trireme's own where the pods differ by nothing else:
        where they run the spec with that.
        """
        adoptions = adoption.with_last_refused(view.adoption.present)
        if adoptions == view.adoption.present or new.tries or view.asked is None:
            return new
        view.accepted = stable = view.accepted or await remembered(self._cluster, body)
        if stable is None or serve_alike(_running(new), _running(stable)):
            return new
        before = await self._examined(view, body, view.asked, adoptions, inspects=False)
        if isinstance(before, Refused) or not serve_alike(_running(before), _running(stable)):
            return new
        return replace(new, undoes=before.tries)

    async def _examined(
        self,
        view: AgentView,
        body: Object,
        agent: AgentDeployment,
        adoptions: Adoptions,
        *,
        inspects: bool,
    ) -> Accepted | Refused:
        """What a spec is with these settings; where it is only asked whether it would do, nothing
        is inspected anew.
        """
        try:
            agent = with_settings(agent, adoptions)
            sources = await live_sources(self._cluster, agent)
            found = await examined(agent.spec, sources)
            if found.faults:
                raise InvalidSpec(found.faults)
            inspected = self._preflight.inspected if inspects else self._preflight.known
            fetched = await inspected(view, body, agent)
            if isinstance(fetched, Refused):
                return fetched
            found = await examined(agent.spec, sources, fetched)
            if found.faults:
                if inspects:
                    self._preflight.doubt(view, agent)
                raise InvalidSpec(found.faults)
            if inspects:
                self._preflight.trust(view)
        except InvalidSpec as error:
            awaited = all(isinstance(fault, SourceNotFound) for fault in error.faults)
            reason = Reason.SOURCE_NOT_FOUND if awaited else Reason.INVALID_SPEC
            return Refused(reason, str(error))
        present = {name: files for name, files in sources.items() if files is not None}
        completed = agent.model_copy(update={"spec": found.spec})
        repository = render(found.spec, present)
        warnings = (*found.warnings, *missing_node_cache(completed, self._options))
        tries = adoption.tries(adoptions)
        return Accepted(completed, repository, warnings, found.inspections, tries)

    async def compare(self, view: AgentView, body: Object, accepted: Accepted) -> None:
        """Know what differs from what the pods run, so that it can be told what becomes of them.
        Raises ClusterError.
        """
        before = view.accepted
        if before is None and _is_moved(readable_status(body.get("status")), accepted.repository):
            before = await remembered(self._cluster, body)
        if before is None or _runs(before) == _runs(accepted):
            return
        view.replaced = view.replaced or before
        view.change = change(_running(view.replaced), _running(accepted), self._options)


def _running(accepted: Accepted) -> Running:
    return Running(accepted.agent, accepted.repository)


def _runs(accepted: Accepted) -> tuple[AgentSpec, Repository]:
    """What of it an edit can change: its status is another one after each write."""
    return accepted.agent.spec, accepted.repository


def _is_moved(told: AgentStatus, repository: Repository) -> bool:
    """Whether a status tells of another repository than this."""
    return bool(told.repository_digest) and (
        (told.repository_digest, told.live_digest) != (repository.digest, repository.live_digest)
    )
