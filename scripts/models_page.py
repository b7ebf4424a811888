"""Write docs/models.md from the models of the package: python scripts/models_page.py"""

from pathlib import Path

from snnrun import explain

if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "models.md").write_text(explain.page(), "utf-8")
