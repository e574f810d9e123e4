from xaitool.testing import conformance

test_conformance = conformance("xaitool-captum")
