from psconv.cli import main

main()
