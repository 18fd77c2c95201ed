# type: ignore  # model-written: its tools and loose expressions make sense only in the sandbox
# ruff: noqa
"""How much fuel does the trip take, in the driver's own units?"""

trip_miles = 412
kilometres = convert(trip_miles, "mile", "kilometre")
litres = kilometres / 100 * 6.4
gallons = convert(litres, "litre", "gallon")
print(f"{trip_miles} miles are {kilometres:.1f} km and take {litres:.1f} litres")
round(gallons, 2)
