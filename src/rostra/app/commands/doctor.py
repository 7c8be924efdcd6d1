from dataclasses import asdict

from rostra.app.commands.face import Args, Declared, show


def declare(commands: Declared) -> None:
    commands.add("doctor", _doctor, "say which part of the installation or the network is missing", where=True)


def _doctor(args: Args) -> None:
    from rostra.app import doctor

    findings = doctor.examine(args.data, host=args.host, port=args.port)
    show({"ok": doctor.fit(findings), "findings": [asdict(one) for one in findings]}, args.json, doctor.said)
    if not doctor.fit(findings):
        raise SystemExit(1)
