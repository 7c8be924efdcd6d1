from rostra.app.commands.face import Args, Declared, show


def declare(commands: Declared) -> None:
    commands.add("sign-in", _sign_in, "print a fresh one-time sign-in link for the operator")


def _sign_in(args: Args) -> None:
    from rostra.app.spaces import sign_in

    show(sign_in(args.data), args.json, lambda made: f"Opens once, within half an hour:\n  {made['link']}")
