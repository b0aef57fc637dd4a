"""Checks for the exercises, one file a chapter: `from course_lib.checks import chapter01`."""
