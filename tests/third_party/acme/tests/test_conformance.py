from xaitool.testing import conformance

test_acme_vision = conformance("acme-vision")
