"""The course as pages that need no kernel and no network: `python -m course_lib site`."""

from course_lib.site.export import export_site

__all__ = ["export_site"]
