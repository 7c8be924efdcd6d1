"""An edge on a machine of its own, which takes its sound from another edge."""

from pathlib import Path

from rostra.app.commands.face import Args, Declared


def declare(commands: Declared) -> None:
    edge = commands.add("edge", _edge, "serve the sound of another Rostra from this machine too")
    edge.add_argument(
        "--upstream",
        required=True,
        metavar="URL",
        help="where the sound comes from: the other's door or edge, or a cache in front of it",
    )
    edge.add_argument("--host", help="address to listen on (127.0.0.1, or 'host' in the settings)")
    edge.add_argument("--port", type=int, default=8001, help="port to listen on (8001)")
    # Not that of `serve`: both may run on one machine, and each data directory has one owner.
    edge.set_defaults(data=Path("rostra-edge"))
    next(one for one in edge._actions if one.dest == "data").help = "its key, settings and sockets (./rostra-edge)"


def _edge(args: Args) -> None:
    from rostra.app.edge import edge

    edge(args.data, args.upstream, host=args.host, port=args.port, as_json=args.json, debug=args.debug)
