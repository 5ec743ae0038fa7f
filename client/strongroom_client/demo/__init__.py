"""A whole deployment on one machine, for the demonstration, the tests and the benchmarks: real daemons as processes."""
