"""How kopecks read to people. Pure; for display only."""


def price_text(minor: int) -> str:
    """Return kopecks as people read them: "90 ₽", "1 234,50 ₽", with spaces that do not break."""
    whole = f"{minor // 100:,}".replace(",", "\N{NO-BREAK SPACE}")
    kopecks = f",{minor % 100:02}" if minor % 100 else ""
    return f"{whole}{kopecks}\N{NO-BREAK SPACE}₽"


def roubles(minor: int) -> int | float:
    """Return kopecks as the number of roubles that the predecessor's JSON shows."""
    return minor // 100 if minor % 100 == 0 else minor / 100
