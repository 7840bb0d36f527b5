"""What is done about each kind of finding; kinds without a repair are only told."""

from collections.abc import Callable, Mapping

from nova_lite.conductor.spanning.auditing import repair_claims, repair_records, repair_volumes, repair_work
from nova_lite.conductor.spanning.auditing.findings import Finding, Kind
from nova_lite.conductor.spanning.auditing.tools import RepairTools

REPAIRS: Mapping[Kind, Callable[[RepairTools, Finding], bool]] = {
    Kind.MAPPING_WRONG_CELL: repair_records.point_mapping,
    Kind.MAPPING_WITHOUT_INSTANCE: repair_records.remove_mapping,
    Kind.MAPPING_OF_DELETED: repair_records.stop_counting,
    Kind.INSTANCE_WITHOUT_MAPPING: repair_records.map_instance,
    Kind.INSTANCE_IN_TWO_CELLS: repair_records.remove_unborn,
    Kind.BUILD_WITHOUT_WORK: repair_records.schedule_again,
    Kind.BUILD_REQUEST_LEFT: repair_records.drop_build_request,
    Kind.REQUEST_SPEC_LEFT: repair_records.drop_spec,
    Kind.GROUP_MEMBER_LEFT: repair_records.leave_group,
    Kind.GROUP_PLACE_WRONG: repair_records.settle,
    Kind.USAGE_WRONG: repair_records.settle,
    Kind.COUNT_WRONG: repair_records.count_rightly,
    Kind.TASK_WITHOUT_WORK: repair_work.end_task,
    Kind.MOVE_WITHOUT_WORK: repair_work.end_move,
    Kind.CLAIM_ORPHANED: repair_claims.free_orphan,
    Kind.CLAIM_MISSING: repair_claims.hold_due,
    Kind.CLAIM_WRONG: repair_claims.hold_due,
    Kind.VOLUME_WITHOUT_WORK: repair_volumes.begin_again,
    Kind.VOLUME_STUCK: repair_volumes.roll_back,
    Kind.ATTACHMENT_ORPHANED: repair_volumes.remove_orphan,
    Kind.ATTACHMENT_MISSING: repair_volumes.detach,
    Kind.ATTACHMENT_UNFINISHED: repair_volumes.complete,
    Kind.HOST_MAPPING_LEFT: repair_records.unmap_host,
}


def repairer(tools: RepairTools) -> Callable[[Finding], bool]:
    """Return what repairs findings with ``tools``."""

    def repair(finding: Finding) -> bool:
        return REPAIRS[finding.kind](tools, finding)

    return repair
