"""Draws `street.png`. Needs Pillow; run it in this folder."""

from PIL import Image, ImageDraw

image = Image.new("RGB", (240, 160), (150, 190, 230))
draw = ImageDraw.Draw(image)
draw.rectangle((0, 100, 240, 160), fill=(96, 96, 100))
draw.polygon([(90, 160), (116, 100), (124, 100), (150, 160)], fill=(225, 215, 120))
for at, (left, top, colour) in enumerate(
    [(0, 30, (190, 80, 60)), (45, 55, (230, 225, 215)), (150, 20, (60, 110, 90)), (200, 48, (205, 160, 90))]
):
    draw.rectangle((left, top, left + 42, 104), fill=colour)
    for row in range(top + 6, 98, 14):
        for column in range(left + 5, left + 38, 12):
            draw.rectangle(
                (column, row, column + 6, row + 8), fill=(40, 50, 70) if (row + column + at) % 3 else (250, 240, 180)
            )
draw.ellipse((100, 8, 126, 34), fill=(255, 236, 140))
image.save("street.png", optimize=True)
