# `make help` lists what a developer does here.
.DEFAULT_GOAL := help
