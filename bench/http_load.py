"""`python -m bench.http_load`: asks a server the same questions over and over and counts the answers."""

import asyncio
import time

from bench.children import Said, obey
from bench.http_line import HttpLine, get


async def load(order: Said) -> Said:
    """Ask `paths` over a connection each for `seconds`; return how many answers came."""
    lines = [await HttpLine.open(order["port"]) for _ in order["paths"]]
    begun = time.perf_counter()
    until = begun + order["seconds"]
    questions = [get(path) for path in order["paths"]]
    counts = await asyncio.gather(*map(_ask_until, lines, questions, [until] * len(lines)))
    taken = time.perf_counter() - begun
    for line in lines:
        line.close()
    return {"per_s": sum(counts) / taken, "answers": sum(counts)}


async def _ask_until(line: HttpLine, question: bytes, until: float) -> int:
    count = 0
    while time.perf_counter() < until:
        answer = await line.ask(question)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise ValueError(f"refused: {answer[:200]!r}")
        count += 1
    return count


if __name__ == "__main__":
    asyncio.run(obey(load))
