"""The shapes of requests and answers, for OpenAPI. Requests are checked against theirs; answers come from the SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from shop.service import LARGEST_ID

Key = Annotated[int, Field(ge=1, le=LARGEST_ID)]


class User(BaseModel):
    """A public profile."""

    id: int
    name: str
    country: str
    created_at: datetime


class Registered(User):
    """A user as the one who knows the address sees it."""

    email: str


class PostTitle(BaseModel):
    """A post on the page of users."""

    id: int
    title: str
    created_at: datetime


class UserWithPosts(User):
    """A user and the latest posts."""

    posts: list[PostTitle]


class Post(PostTitle):
    """A post of the feed."""

    user_id: int
    author: str
    body: str


class Offer(BaseModel):
    """A product in a listing."""

    id: int
    name: str
    category: str
    price_cents: int
    created_at: datetime


class Product(Offer):
    """A product and what is left of it."""

    stock: int


class Rename(BaseModel):
    """A new name."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class NewOrder(BaseModel):
    """What to buy."""

    user_id: Key
    product_id: Key
    quantity: Annotated[int, Field(ge=1, le=100)]


class Order(NewOrder):
    """An order as it was placed."""

    id: int
    total_cents: int
    status: str
    created_at: datetime


class Refusal(BaseModel):
    """Why not."""

    detail: str


def described(model: Any, status: int = 200, **others: str) -> dict[int | str, dict[str, Any]]:
    """The answers of a route for OpenAPI: `model` with `status`, and refusals as `_404="no such user"`."""
    refusals: dict[int | str, dict[str, Any]] = {
        int(code.removeprefix("_")): {"model": Refusal, "description": why} for code, why in others.items()
    }
    return {status: {"model": model}, **refusals, 503: {"model": Refusal, "description": "the database refuses"}}
