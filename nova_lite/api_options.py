"""Every option of ``[api]``, which both REST APIs read; ``config.py`` has the others, and registers these with them."""

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
    cfg.IntOpt("max_request_body_size", default=114688, min=1024, help="Bytes of a request body at most."),
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
