"""From values to objects: finds Helm, renders the chart, and reads and judges what was rendered."""
