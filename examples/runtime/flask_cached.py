"""Flask with a cache from its configuration, and measured: `gunicorn "flask_cached:create_app()"`."""

import os

from flask import Flask

from headway.runtime.cache import Policy
from headway.runtime.contrib.flask import FlaskCache
from headway.runtime.instrument import instrument_wsgi

NAMES = {5: "Ada"}
cache = FlaskCache()


@cache.cached("user:{user_id}", policy=Policy(ttl_s=60, stale_s=30))
def name_of(user_id: int) -> str | None:
    """Loaded once for all threads and processes."""
    return NAMES.get(user_id)


def create_app() -> Flask:
    """The application. It may be loaded before the server forks."""
    app = Flask("shop")
    app.config["HEADWAY_CACHE_URL"] = os.environ["CACHE_URL"]
    cache.init_app(app)

    @app.get("/users/<int:user_id>")
    def show(user_id: int) -> dict[str, str | None]:
        return {"name": name_of(user_id)}

    @app.put("/users/<int:user_id>/<name>")
    def rename(user_id: int, name: str) -> dict[str, str]:
        NAMES[user_id] = name
        name_of.invalidate(user_id)
        return {"name": name}

    caches = {"shop": app.extensions["headway_cache"]}
    app.wsgi_app = instrument_wsgi(app.wsgi_app, limits_ms=(100,), caches=caches)  # type: ignore[method-assign]
    return app
