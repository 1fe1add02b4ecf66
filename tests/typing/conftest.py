"""The files of this folder are code as a user writes it: type checkers read them, pytest does not run them."""

collect_ignore_glob = ["*.py"]
