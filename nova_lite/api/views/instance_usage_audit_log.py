"""How the log of usage audits looks."""

from nova_lite.api.services.instance_usage_audit_log import AuditLog


def one(found: AuditLog) -> dict[str, object]:
    """Return the log: a number of hosts, none of which has run an audit."""
    total = len(found.hosts)
    return {
        "period_beginning": str(found.begins),
        "period_ending": str(found.ends),
        "num_hosts": total,
        "num_hosts_done": 0,
        "num_hosts_running": 0,
        "num_hosts_not_run": total,
        "hosts_not_run": list(found.hosts),
        "total_instances": 0,
        "total_errors": 0,
        "overall_status": f"{f'0 of {total}' if total else 'ALL'} hosts done. 0 errors.",
        "log": {},
    }
