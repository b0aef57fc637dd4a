"""Where the links of a page lead once it stands in a site: to other pages, to copies of files, or nowhere."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bs4 import Tag

from course_lib.runtime import ROOT


class Links:
    """Turns the links between files into links between pages.

    chapters: notebook -> page. A Markdown file that is linked to becomes a page too, any other file is copied; `files`
    collects them, file -> its name in the site. A link to a notebook that is not in the site, to a folder, or to
    nothing at all loses its mark and stays as plain words.
    """

    def __init__(self, chapters: dict[Path, str]):
        self.chapters = {path.resolve(): page for path, page in chapters.items()}
        self.files: dict[Path, str] = {}

    def resolve(self, link: str, folder: Path) -> str | None:
        """What a link from a file in `folder` becomes; None if it leads nowhere. Links with a scheme stay."""
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or not parts.path:
            return link
        name = self.name((folder / unquote(parts.path)).resolve(), folder.resolve())
        return name and quote(name) + (f"#{parts.fragment}" if parts.fragment else "")

    def name(self, target: Path, folder: Path) -> str | None:
        """The name in the site of a file that a page of `folder` asks for; None if it is not to be had."""
        if target in self.chapters:
            return self.chapters[target]
        home = next((home for home in (ROOT, folder) if target.is_relative_to(home)), None)
        if home is None or not target.is_file() or target.suffix == ".ipynb":
            return None
        if target not in self.files:
            flat = "-".join(target.relative_to(home).parts)
            page = flat.removesuffix(".md") + ".html" if target.suffix == ".md" else flat
            while page in {"index.html", *self.chapters.values(), *self.files.values()}:
                page = f"other-{page}"
            self.files[target] = page
        return self.files[target]

    def rewrite(self, part: Tag, folder: Path) -> None:
        """Rewrite, in place, all links and pictures of a part of a page whose source lies in `folder`."""
        for element in part.select("a[href], img[src]"):
            attribute = "href" if element.name == "a" else "src"
            link = self.resolve(element[attribute], folder)
            if link is not None:
                element[attribute] = link
            elif element.name == "a":
                element.unwrap()
            else:
                element.replace_with(element.get("alt", ""))
