from tests.search.conftest import checkpoint_folder, loaded, pictures, store  # noqa: F401
