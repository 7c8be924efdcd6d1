"""One child of the supervisor. Not for people, so --help does not show it."""

from rostra.app.commands.face import Args, Declared


def declare(commands: Declared) -> None:
    role = commands.add("role", _role, None, where=True)
    role.add_argument("name")
    role.add_argument("--sockets", default="")
    role.add_argument("--heart", type=int, required=True)
    role.add_argument("--parent", type=int, required=True)
    role.add_argument("--upstream", default="")


def _role(args: Args) -> None:
    from rostra.app import roles

    sockets = [int(one) for one in args.sockets.split(",") if one]
    roles.run(
        args.name, args.data, host=args.host, port=args.port,
        sockets=sockets, beat=args.heart, parent=args.parent, debug=args.debug, upstream=args.upstream,
    )  # fmt: skip
