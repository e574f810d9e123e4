"""``python -m xaitool``."""

from xaitool.cli import main

if __name__ == "__main__":
    main()
