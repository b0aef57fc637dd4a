"""Whether a page stands alone: what of it a browser would fetch from the network."""

import re

from bs4 import BeautifulSoup

# attribute -> the elements on which it makes a browser load something
LOADING = {"src": "[src]", "srcset": "[srcset]", "poster": "[poster]", "data": "object[data]",
           "href": "link[href], image[href], use[href]"}
REMOTE = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
REMOTE_STYLE = re.compile(r"@import|url\(\s*['\"]?\s*(?:https?:)?//", re.IGNORECASE)
REMOTE_SCRIPT = re.compile(r"""(?:\bimport\b[^;\n]*|\bfetch\(|\.src\s*=)\s*\(?\s*['"`](?:https?:)?//""")


def remote_references(soup: BeautifulSoup) -> list[str]:
    """All that a browser would fetch from the network to show this page: addresses, and lines of styles and scripts.

    Links to click on are none of these.
    """
    found = [element[attribute] for attribute, elements in LOADING.items() for element in soup.select(elements)
             if REMOTE.match(element[attribute])]
    for element in soup.select("style, script:not([type*=json])"):
        pattern = REMOTE_STYLE if element.name == "style" else REMOTE_SCRIPT
        found += [match[0] for match in pattern.finditer(element.string or "")]
    return found + [match[0] for element in soup.select("[style]") for match in REMOTE_STYLE.finditer(element["style"])]
