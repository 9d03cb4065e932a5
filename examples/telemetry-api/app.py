"""The book as a web application that logs what its readers do, and takes events from their browsers.

``python examples/telemetry-api/app.py [FOLDER [PORT]]`` serves it on http://127.0.0.1:8000, or on another port. The
database stays in FOLDER; without one it is the usual one.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import book
from fastapi import APIRouter, FastAPI, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import usagetrace
from usagetrace.event_logger import event_logger
from usagetrace.server.telemetry_router import router as telemetry

pages = APIRouter(prefix="/api")
# Whoever is signed in; a real application knows it from its own session.
User = Annotated[str, Header(alias="X-User-Id")]


class Asked(BaseModel):
    """What a reader asks of a section."""

    chapter_id: str
    section_id: str
    question: str = ""


def _used(block_type: str, request: Request, asked: Asked, user_id: str) -> None:
    """Log that a block was used. The endpoints are no coroutines: they run, and log, on threads of their own."""
    if asked.section_id not in book.BOOK.get(asked.chapter_id, {}):
        raise HTTPException(404, "there is no such section")
    request.state.about = {"chapter_id": asked.chapter_id, "section_id": asked.section_id}
    event_logger.log(
        "ai_block_used",
        {
            "user_id": user_id,
            "chapter_id": asked.chapter_id,
            "section_id": asked.section_id,
            "block_type": block_type,
            "query": asked.question,
        },
    )


@pages.post("/ai/ask-question")
def ask_question(request: Request, asked: Asked, user_id: User = "nobody") -> dict[str, str]:
    """Answer a question about a section."""
    _used("ask-question", request, asked, user_id)
    return {"answer": book.answer(asked.chapter_id, asked.section_id, asked.question)}


@pages.post("/ai/explain-like-10")
def explain_like_10(request: Request, asked: Asked, user_id: User = "nobody") -> dict[str, str]:
    """Say what a section is about in short words."""
    _used("explain-like-10", request, asked, user_id)
    return {"explanation": book.simply(asked.chapter_id, asked.section_id)}


@pages.post("/ai/quiz")
def quiz(request: Request, asked: Asked, user_id: User = "nobody") -> dict[str, str]:
    """Ask for a word of a section."""
    _used("quiz", request, asked, user_id)
    return book.quiz(asked.chapter_id, asked.section_id)


@pages.post("/ai/diagram")
def diagram(request: Request, asked: Asked, user_id: User = "nobody") -> dict[str, str]:
    """Draw the chapter of a section."""
    _used("diagram", request, asked, user_id)
    return {"diagram": book.diagram(asked.chapter_id)}


@pages.get("/chapters/{chapter_id}")
def get_chapter(request: Request, chapter_id: str, user_id: User = "nobody") -> dict[str, Any]:
    """Return a chapter."""
    if chapter_id not in book.BOOK:
        raise HTTPException(404, "there is no such chapter")
    request.state.about = {"chapter_id": chapter_id}
    event_logger.log("chapter_visit", {"user_id": user_id, "chapter_id": chapter_id})
    return {"chapter_id": chapter_id, "sections": book.BOOK[chapter_id]}


def _log_error(request: Request, error: Exception) -> None:
    # What the request is about, where it came so far.
    about = getattr(request.state, "about", {})
    event_logger.log("error_event", {"error_type": type(error).__name__, "error_message": str(error), **about})


def create_app(database: Path | None = None) -> FastAPI:
    """Return the application.

    Args:
        database: Where events are kept; by default where the settings say.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Readers are counted, and not known: an id is kept as a hash.
        usagetrace.configure(service_name="book", db_path=database, redaction={"keys": {"user_id": "hash"}})
        yield
        usagetrace.shutdown()

    app = FastAPI(title="A small book", lifespan=lifespan)
    app.include_router(pages)
    app.include_router(telemetry)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        # On a thread: the event loop waits for no file.
        await run_in_threadpool(_log_error, request, error)
        return JSONResponse({"detail": "something failed here; it was logged"}, 500)

    return app


def main(folder: str = "", port: str = "8000") -> None:
    """Serve the book until somebody ends it."""
    import uvicorn

    uvicorn.run(create_app(Path(folder) / "analytics.db" if folder else None), port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
