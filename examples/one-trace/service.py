"""The shelf's service: keeps skills, in memory."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI(title="Shelf")
SHELF: dict[str, str] = {}


class Skill(BaseModel):
    """What a client sends."""

    name: str


@app.post("/collections/{collection}/skills", status_code=201)
def upload_skill(collection: str, skill: Skill) -> dict[str, str]:
    """Put a skill on the shelf."""
    SHELF[skill.name] = collection
    return {"id": f"{collection}/{skill.name}"}
