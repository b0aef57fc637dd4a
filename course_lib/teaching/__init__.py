"""What an instructor needs: slides, a student's copy without solutions, a grade report. `python -m course_lib`."""
