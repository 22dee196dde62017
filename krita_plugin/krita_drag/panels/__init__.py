"""The parts of the docker: each shows one slice of a `DockerView` and signals what the user wants."""
