"""The run-time type checker of the tests: shapes by jaxtyping, types by beartype, and an int is a float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
