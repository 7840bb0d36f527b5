"""Every option of the REST APIs: of what they answer, and of proxies and browsers; ``config.py`` registers them."""

from oslo_config import cfg

API_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "auth_strategy",
        default="keystone",
        choices=["keystone", "noauth2"],
        help="Who checks tokens: Keystone, or nobody (the token is the user's name; for tests and the embedded cloud).",
    ),
    cfg.StrOpt(
        "metrics",
        default="policy",
        choices=[
            ("policy", "those whom the policy rule lets in, with a token"),
            ("open", "anyone who can reach the API"),
            ("off", "nobody, and nothing is counted"),
        ],
        help="Who may read /metrics.",
    ),
    cfg.IntOpt("max_limit", default=1000, min=1, help="Items a list answers at most in one page."),
    cfg.IntOpt(
        "idempotency_key_lifetime",
        default=86400,
        min=60,
        help="Seconds for which a request that a client named (Idempotency-Key) is answered as it was the first time.",
    ),
    cfg.StrOpt(
        "compute_link_prefix", help="URL prefix of links in answers, where it differs from what requests carry."
    ),
    cfg.BoolOpt(
        "enable_instance_password",
        default=True,
        help="Whether servers that are made, rebuilt, rescued or evacuated are answered with a password of their "
        "administrator (adminPass). Guests hear of it only where they can be told.",
    ),
    cfg.BoolOpt(
        "instance_list_per_project_cells",
        default=False,
        help="Whether lists of servers ask only the cells in which the caller's project has servers, unless the caller "
        "is an administrator. Saves work where there are many cells and a project is in few of them.",
    ),
    cfg.StrOpt(
        "instance_list_cells_batch_strategy",
        default="distributed",
        choices=[
            ("distributed", "a share of the page: never more is read in vain than a tenth of it and 100 of each cell"),
            ("fixed", "instance_list_cells_batch_fixed_size"),
        ],
        help="How many rows each cell is asked for at once when a page is made of several cells' rows.",
    ),
    cfg.IntOpt(
        "instance_list_cells_batch_fixed_size",
        default=100,
        min=100,
        help="Rows each cell is asked for at once with instance_list_cells_batch_strategy = fixed.",
    ),
    cfg.BoolOpt(
        "list_records_by_skipping_down_cells",
        default=True,
        help="Whether a list that cannot tell of servers or migrations in cells that are down leaves them out; else it "
        "is refused. From 2.69 on a list of servers without filters, order or page tells of them, whatever this says.",
    ),
]

#: Groups and names that operators of OpenStack know, though the code is ours: see docs/decisions/0034-wsgi.rst.
OSLO_MIDDLEWARE_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enable_proxy_headers_parsing",
        default=False,
        help="Whether a proxy before the API sets Forwarded or X-Forwarded-Proto, -Host and -Prefix, so that links in "
        "answers follow them. Without such a proxy anyone could set them.",
    ),
    cfg.IntOpt(
        "max_request_body_size",
        default=114688,
        min=1024,
        deprecated_opts=[cfg.DeprecatedOpt("max_request_body_size", group="api")],
        help="Bytes of a request body to the Compute API at most.",
    ),
]

_HEADERS = ["X-Auth-Token", "X-Openstack-Request-Id", "X-OpenStack-Nova-API-Version", "OpenStack-API-Version"]

CORS_OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "allowed_origin",
        default=[],
        help="Origins (scheme://host:port) of pages whose scripts may use the API from browsers; * is any.",
    ),
    cfg.BoolOpt("allow_credentials", default=True, help="Whether these requests may carry cookies and the like."),
    cfg.ListOpt(
        "expose_headers",
        default=[
            *_HEADERS,
            "X-Compute-Request-Id",
            "X-Subject-Token",
            "X-Service-Token",
            "Location",
            "Retry-After",
            "Idempotent-Replayed",
        ],
        help="Headers of answers that scripts may read, beside those they always may.",
    ),
    cfg.IntOpt("max_age", default=3600, min=0, help="Seconds for which browsers may remember what they are allowed."),
    cfg.ListOpt(
        "allow_methods", default=["GET", "PUT", "POST", "DELETE", "PATCH"], help="Methods that scripts may use."
    ),
    cfg.ListOpt(
        "allow_headers",
        default=[
            *_HEADERS,
            "X-Identity-Status",
            "X-Roles",
            "X-Service-Catalog",
            "X-User-Id",
            "X-Tenant-Id",
            "Idempotency-Key",
        ],
        help="Headers that scripts may send, beside those they always may.",
    ),
]
