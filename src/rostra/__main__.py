from rostra.app.cli import main

main()
