from rostra.app.commands.face import Args, Declared


def declare(commands: Declared) -> None:
    commands.add("serve", _serve, "run every role on this machine", where=True)


def _serve(args: Args) -> None:
    from rostra.app.serve import serve

    serve(args.data, host=args.host, port=args.port, as_json=args.json, debug=args.debug)
