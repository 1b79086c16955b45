"""The python tasks of flight_delays; each is called with its task's context."""

from pipelines.jobs.context import TaskContext, newest_event
from pipelines.jobs.warehouse import replace, transaction

_JOIN = """
WITH
of_airport AS (
    SELECT origin AS airport, count(*) AS flights, sum(cancelled) AS cancelled,
           avg(departure_delay_min) AS mean_departure_delay_min
    FROM flights WHERE day = :day GROUP BY origin
),
of_airline AS (
    SELECT origin AS airport, carrier, avg(departure_delay_min) AS mean
    FROM flights WHERE day = :day GROUP BY origin, carrier HAVING count(departure_delay_min) >= 10
),
slowest AS (
    SELECT airport, carrier, row_number() OVER (PARTITION BY airport ORDER BY mean DESC, carrier) AS place
    FROM of_airline
),
of_weather AS (
    SELECT airport, count(*) AS hours,
           avg(temperature_f) AS mean_temperature_f, avg(wind_mph) AS mean_wind_mph
    FROM weather WHERE day = :day GROUP BY airport
)
SELECT :day, airport, flights, cancelled, round(mean_departure_delay_min, 2), airlines.name,
       round(mean_temperature_f, 2), round(mean_wind_mph, 2), coalesce(hours, 0)
FROM of_airport
LEFT JOIN slowest USING (airport)
LEFT JOIN airlines USING (carrier)
LEFT JOIN of_weather USING (airport)
WHERE coalesce(place, 1) = 1
ORDER BY airport
"""


def load_airlines(context: TaskContext) -> None:
    """Replace the airlines' names by those of the newest list that was posted."""
    airlines = newest_event(context, "airlines")["data"]["airlines"]
    with transaction() as warehouse:
        warehouse.execute("DELETE FROM airlines")
        warehouse.executemany("INSERT INTO airlines VALUES (:carrier, :name)", airlines)
    print(f"{len(airlines)} airlines")


def join(context: TaskContext) -> None:
    """Put the day's flights beside its weather: a row per airport, with the airline that was slowest."""
    day = context.partition
    with transaction() as warehouse:
        rows = replace(
            warehouse, "joined_delays", ("day", day), warehouse.execute(_JOIN, {"day": day}).fetchall()
        )
    print(f"{day}: joined flights, weather and airlines of {rows} airports")


def publish(context: TaskContext) -> None:
    """Let the day be seen by those who read the result."""
    day = context.partition
    with transaction() as warehouse:
        checked = warehouse.execute("SELECT * FROM joined_delays WHERE day = ?", (day,)).fetchall()
        rows = replace(warehouse, "flight_delays_daily", ("day", day), checked)
    print(f"{day}: published {rows} rows")
