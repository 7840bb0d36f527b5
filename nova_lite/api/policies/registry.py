"""Every rule of the Compute API, noun by noun."""

from oslo_policy import policy as oslo_policy

from nova_lite.api.policies import (
    aggregates,
    availability_zones,
    cells,
    compute_services,
    flavors,
    hypervisors,
    instance_actions,
    keypairs,
    limits,
    migrations,
    quota_class_sets,
    quota_sets,
    server_diagnostics,
    server_external_events,
    server_groups,
    server_migrations,
    server_operations,
    server_passwords,
    server_scheduling,
    servers,
    usages,
    volume_attachments,
)


def rules() -> list[oslo_policy.RuleDefault]:
    """Return every rule, for the application and for the sample policy generator."""
    return [
        *servers.RULES,
        *server_scheduling.RULES,
        *server_operations.RULES,
        *server_diagnostics.RULES,
        *server_passwords.RULES,
        *aggregates.RULES,
        *availability_zones.RULES,
        *cells.RULES,
        *compute_services.RULES,
        *flavors.RULES,
        *hypervisors.RULES,
        *instance_actions.RULES,
        *keypairs.RULES,
        *limits.RULES,
        *migrations.RULES,
        *quota_class_sets.RULES,
        *quota_sets.RULES,
        *usages.RULES,
        *server_groups.RULES,
        *server_external_events.RULES,
        *server_migrations.RULES,
        *volume_attachments.RULES,
    ]
