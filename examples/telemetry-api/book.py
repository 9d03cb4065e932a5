"""A small book, and what a reader may ask of a section: an answer, simple words, a quiz, a diagram.

The answers are put together from the book's own sentences. Where a model would be asked instead, nothing of the
telemetry is different.
"""

from __future__ import annotations

import re

BOOK = {
    "intro": {
        "first-steps": (
            "A shelf keeps what a team wrote down. Each page of it has one owner. "
            "The owner answers questions about the page, and removes it when nobody reads it any more."
        ),
        "words": "A page is a text of its own. A shelf is a list of pages. A reader is anybody who opens one.",
    },
    "care": {
        "dust": "Pages grow old. An old page misleads its reader. Look at the oldest pages of a shelf once a month.",
        "thanks": "To all of you.",
    },
}
# Words shorter than this carry no meaning of their own.
_LONG = 5


def _sentences(chapter_id: str, section_id: str) -> list[str]:
    return re.split(r"(?<=\.)\s+", BOOK[chapter_id][section_id])


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) >= _LONG - 1}


def answer(chapter_id: str, section_id: str, question: str) -> str:
    """Return the sentence that has most words of the question."""
    asked = _words(question)
    return max(_sentences(chapter_id, section_id), key=lambda sentence: len(asked & _words(sentence)))


def simply(chapter_id: str, section_id: str) -> str:
    """Return the sentence with the shortest words."""
    return min(_sentences(chapter_id, section_id), key=lambda text: sum(map(len, text.split())) / len(text.split()))


def quiz(chapter_id: str, section_id: str) -> dict[str, str]:
    """Return a sentence without its longest word, and that word.

    Raises:
        ValueError: The section has no word that is worth asking for.
    """
    for sentence in _sentences(chapter_id, section_id):
        word = max(re.findall(r"\w+", sentence), key=len)
        if len(word) >= _LONG:
            return {"question": sentence.replace(word, "_" * len(word)), "answer": word}
    raise ValueError(f"no word to ask for in {chapter_id}/{section_id}")


def diagram(chapter_id: str) -> str:
    """Return the sections of a chapter as a graph of Mermaid."""
    return "\n".join(["graph TD", *(f"    {chapter_id} --> {section_id}" for section_id in BOOK[chapter_id])])
