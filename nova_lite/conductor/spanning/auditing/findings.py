"""What an audit can find: each kind with the invariant it breaks, why that matters, and what is done about it.

The table is what operators read, too (``docs/audit.rst`` is drawn from it).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What can be wrong."""

    MAPPING_WRONG_CELL = "mapping-wrong-cell"
    MAPPING_WITHOUT_INSTANCE = "mapping-without-instance"
    MAPPING_OF_DELETED = "mapping-of-deleted"
    INSTANCE_WITHOUT_MAPPING = "instance-without-mapping"
    INSTANCE_IN_TWO_CELLS = "instance-in-two-cells"
    BUILD_WITHOUT_WORK = "build-without-work"
    BUILD_NOT_KEPT = "build-not-kept"
    BUILD_REQUEST_LEFT = "build-request-left"
    REQUEST_SPEC_LEFT = "request-spec-left"
    GROUP_MEMBER_LEFT = "group-member-left"
    GROUP_PLACE_WRONG = "group-place-wrong"
    USAGE_WRONG = "usage-wrong"
    COUNT_WRONG = "count-wrong"
    TASK_WITHOUT_WORK = "task-without-work"
    MOVE_WITHOUT_WORK = "move-without-work"
    RESIZED_WITHOUT_MOVE = "resized-without-move"
    WORK_IDLE = "work-idle"
    WORK_OVERDUE = "work-overdue"
    CLAIM_ORPHANED = "claim-orphaned"
    CLAIM_MISSING = "claim-missing"
    CLAIM_WRONG = "claim-wrong"
    GUEST_ON_TWO_HOSTS = "guest-on-two-hosts"
    GUEST_WITHOUT_INSTANCE = "guest-without-instance"
    GUEST_ELSEWHERE = "guest-elsewhere"
    GUEST_STALE = "guest-stale"
    INSTANCE_WITHOUT_GUEST = "instance-without-guest"
    ASIDE_LEFT = "aside-left"
    VOLUME_WITHOUT_WORK = "volume-without-work"
    VOLUME_STUCK = "volume-stuck"
    ATTACHMENT_ORPHANED = "attachment-orphaned"
    ATTACHMENT_MISSING = "attachment-missing"
    ATTACHMENT_WRONG = "attachment-wrong"
    ATTACHMENT_UNFINISHED = "attachment-unfinished"
    HOST_MAPPING_LEFT = "host-mapping-left"
    HOST_MAPPING_WRONG = "host-mapping-wrong"


@dataclass(frozen=True, slots=True)
class Rule:
    """What an operator should know of a kind. ``repair`` is what ``--repair`` does, None: it is only told.

    ``advice`` is what to do where nothing is repaired.
    """

    invariant: str
    what: str
    repair: str | None
    advice: str = "Run the audit again; if it stays, look at the server's actions and the conductor's log."


RULES: Mapping[Kind, Rule] = {
    Kind.MAPPING_WRONG_CELL: Rule(
        "one cell",
        "The mapping of a server names another cell than the one that has it, or none: it cannot be shown or deleted.",
        "The mapping is pointed at the cell that has it.",
    ),
    Kind.MAPPING_WITHOUT_INSTANCE: Rule(
        "one cell",
        "A mapping of a server that no cell has, neither alive nor deleted. It may count for a quota.",
        "The mapping goes, with what was asked for the server and its place in its group. Not while a cell is silent.",
        "Bring up the cells that do not answer, and run the audit again.",
    ),
    Kind.MAPPING_OF_DELETED: Rule(
        "quotas",
        "The server is deleted in its cell and still counts for its project's quota.",
        "It counts no more.",
    ),
    Kind.INSTANCE_WITHOUT_MAPPING: Rule(
        "one cell",
        "A cell has a live server that is mapped to no cell: nobody can see it, and it does not count.",
        "It is mapped to that cell; a row that scheduling left, which no user ever saw, is removed instead.",
    ),
    Kind.INSTANCE_IN_TWO_CELLS: Rule(
        "one cell",
        "Several cells have a live row of one server.",
        "A row that scheduling left, which no user ever saw, is removed. Rows that lived are only told.",
        "Find out on which host its guest runs; in the other cells mark the row deleted by hand.",
    ),
    Kind.BUILD_WITHOUT_WORK: Rule(
        "work ends",
        "A server was accepted, is in no cell yet, and nobody is at work on it.",
        "Its scheduling is begun again.",
    ),
    Kind.BUILD_NOT_KEPT: Rule(
        "work ends",
        "A server whose build failed is in ERROR and in no cell, for neither its cell nor cell0 takes it.",
        None,
        "Its fault says what the database refuses. Delete the server, which works; then mend the database.",
    ),
    Kind.BUILD_REQUEST_LEFT: Rule(
        "nothing left",
        "A build request of a server that is in its cell already, or that is mapped nowhere.",
        "The build request goes; where there is no mapping, so does what was asked.",
    ),
    Kind.REQUEST_SPEC_LEFT: Rule("nothing left", "What was asked for a server that is gone.", "It is deleted."),
    Kind.GROUP_MEMBER_LEFT: Rule("nothing left", "A member of a server group that is gone.", "It leaves the group."),
    Kind.GROUP_PLACE_WRONG: Rule(
        "group policies",
        "A server group has noted another host for a server than the one it is on: its policy is not kept.",
        "The host the server is on is noted.",
    ),
    Kind.USAGE_WRONG: Rule(
        "quotas",
        "A server counts for other vCPUs or memory than its flavor has.",
        "It is counted as its cell says.",
    ),
    Kind.COUNT_WRONG: Rule(
        "quotas",
        "A live server does not count for its project's quota, or one that is soft-deleted does.",
        "It is counted, or is not any more.",
    ),
    Kind.TASK_WITHOUT_WORK: Rule(
        "work ends",
        "A server is busy and no workflow is about it: it would stay so for ever.",
        "A delete is begun again. Other tasks are ended, as if they had failed: the server is what it was before, or "
        "in ERROR with the reason where that cannot be known. One that migrates live or is evacuated is only told.",
        "Look on which host its guest runs, end the guest elsewhere, then set the server's state by hand.",
    ),
    Kind.MOVE_WITHOUT_WORK: Rule(
        "work ends",
        "A migration is under way, or waits to be confirmed, and neither a workflow nor its server knows of it.",
        "The migration ends, and what it holds in Placement is given back, to the server if that is where it was. A "
        "live migration or an evacuation of a server that lives is only told.",
        "Look where the guest runs; then set the server's state by hand.",
    ),
    Kind.RESIZED_WITHOUT_MOVE: Rule(
        "work ends",
        "A server waits to be confirmed or reverted, and there is no migration to confirm or revert.",
        None,
        "Set its state by hand: openstack server set --state active.",
    ),
    Kind.WORK_IDLE: Rule(
        "work ends",
        "Nobody runs a workflow that is open.",
        None,
        "Start a conductor: of the cell that is named, or the super conductor. It takes the workflow up by itself.",
    ),
    Kind.WORK_OVERDUE: Rule(
        "work ends",
        "A workflow is open beyond its deadline and the time it has for undoing.",
        None,
        "Its conductor tries again and again; its log says what does not answer: a host, a database or Placement.",
    ),
    Kind.CLAIM_ORPHANED: Rule(
        "claims",
        "Somebody holds resources in Placement who is no live server, no open migration, and not being made.",
        "What it holds is freed, if it has not changed.",
    ),
    Kind.CLAIM_MISSING: Rule(
        "claims",
        "A server on a host, or a move that may be reverted, holds nothing in Placement: its host gets overfull.",
        "It is claimed; where flavors ask for special resources, by 'placement heal_allocations'.",
        "Run: nova-lite-manage placement heal_allocations.",
    ),
    Kind.CLAIM_WRONG: Rule(
        "claims",
        "A server, or a move that may be reverted, holds something of another host, of several, or other amounts.",
        "It holds what its flavor takes of its host, and nothing else.",
        "Run: nova-lite-manage placement heal_allocations --instance UUID --force.",
    ),
    Kind.GUEST_ON_TWO_HOSTS: Rule(
        "one guest",
        "Two hosts have a guest of one server: both may write to the same disk.",
        None,
        "Stop the agent of the host that the server does not name, look at that guest, then let the agent return: it "
        "removes what is not its own.",
    ),
    Kind.GUEST_WITHOUT_INSTANCE: Rule(
        "one guest",
        "A host has a guest of which no cell has a live server.",
        None,
        "Its agent removes it when it next compares (sync_power_state_interval). If it stays, see the agent's log.",
    ),
    Kind.GUEST_ELSEWHERE: Rule(
        "one guest",
        "A host has a guest of a server that is on another host.",
        None,
        "Its agent removes it when it next compares (sync_power_state_interval). If it stays, see the agent's log.",
    ),
    Kind.GUEST_STALE: Rule(
        "one guest",
        "A guest is of an older epoch than its server: it was there before the server moved.",
        None,
        "Its agent removes it when it next compares (sync_power_state_interval). If it stays, see the agent's log.",
    ),
    Kind.INSTANCE_WITHOUT_GUEST: Rule(
        "one guest",
        "A server should have a guest, and its host says that it has none.",
        None,
        "Look on the host what became of it; then rebuild the server, or delete it.",
    ),
    Kind.ASIDE_LEFT: Rule(
        "nothing left",
        "A host keeps what a server left there when it moved away, and no move wants it.",
        None,
        "Its agent removes it, or brings it back, when it next compares (sync_power_state_interval).",
    ),
    Kind.VOLUME_WITHOUT_WORK: Rule(
        "work ends",
        "A volume comes to a server or goes from it, and nobody is at work on that: it would stay so for ever.",
        "What was begun is begun again: it ends as it would have.",
    ),
    Kind.VOLUME_STUCK: Rule(
        "volumes",
        "A volume is being detached, as the block storage service has it, and no server that has it lets go of it.",
        "It is in use again.",
    ),
    Kind.ATTACHMENT_ORPHANED: Rule(
        "volumes",
        "The block storage service keeps a volume for a server that does not have it: nobody can use the volume.",
        "The server loses it: a guest that may have the disk first lets go of it, as in any detach. Where the server "
        "is gone, on no host, or has the volume by another attachment, the attachment alone is removed.",
    ),
    Kind.ATTACHMENT_MISSING: Rule(
        "volumes",
        "A server has a volume that the block storage service does not keep for it: others may get it, too, and data "
        "be lost.",
        "The volume is detached: the guest lets go of it, then the server has it no more. The disk that a server "
        "boots from is only told.",
        "Stop the server, make the attachment anew (nova-lite-manage volume_attachment refresh), and start it.",
    ),
    Kind.ATTACHMENT_WRONG: Rule(
        "volumes",
        "A server has a volume by an attachment of another server or volume, or by one that is another's, too.",
        None,
        "Find out which guest has the disk; detach the volume from the others.",
    ),
    Kind.ATTACHMENT_UNFINISHED: Rule(
        "volumes",
        "A server has a volume, and the block storage service still waits to hear that: it stays attaching.",
        "The service is told. A volume that is only reserved, for no host, is only told.",
        "Stop the server, make the attachment anew (nova-lite-manage volume_attachment refresh), and start it.",
    ),
    Kind.HOST_MAPPING_LEFT: Rule(
        "one cell",
        "A host is mapped to a cell that knows neither a service nor a hypervisor of it.",
        "The mapping goes, unless a live server is on the host. A host that reports again is mapped again by "
        "'cell_v2 discover_hosts'.",
    ),
    Kind.HOST_MAPPING_WRONG: Rule(
        "one cell",
        "A host is mapped to one cell and reports to another.",
        None,
        "Delete the mapping (cell_v2 delete_host) and map the host again (cell_v2 discover_hosts).",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with one subject: a UUID, or a host's name.

    ``evidence`` is what was seen: only what looks the same when it is looked at again is wrong, all else was in
    flight. ``detail`` is what its repair needs to know. ``is_told_only`` is one that cannot be repaired.
    """

    kind: Kind
    subject: str
    text: str
    cell: str | None = None
    evidence: tuple[object, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False)
    is_told_only: bool = False

    @property
    def rule(self) -> Rule:
        return RULES[self.kind]

    @property
    def is_repairable(self) -> bool:
        return self.rule.repair is not None and not self.is_told_only
